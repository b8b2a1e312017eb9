"""``scleroscan dataset check``: what a data set holds, before an hour is spent on it."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from compose import command_line
from tests.support.json_page import require_documented
from tests.support.labelled import write_dataset
from worker.training.errors import DatasetRejected


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four patients, one of them drawn by two readers."""
    path = write_dataset(tmp_path, "nrrd", patients=4)
    written = yaml.safe_load(path.read_text())
    first = written["scans"][0]
    written["scans"][:1] = [first | {"reader": "anna"}, first | {"reader": "ben"}]
    path.write_text(yaml.safe_dump(written))
    return path


def check(*words: str) -> tuple[int, str, BaseException | None]:
    done = CliRunner().invoke(command_line.app, ["dataset", "check", *words])
    return done.exit_code, done.stdout, done.exception


def test_values_sides_and_readers_are_shown(data: Path) -> None:
    code, page, _ = check(str(data))
    assert code == 0
    for part in ("ground_glass", "5 of 5", "Readers among themselves", "anna", "test: ", "calibrate: "):
        assert part in page


def test_machines_get_the_same(data: Path) -> None:
    _, page, _ = check(str(data), "--json")
    told = json.loads(page)
    require_documented("dataset check", told)
    assert {row["kind"] for row in told["rows"]} == {"ground_glass", "reticulation", "consolidation", "lung"}
    assert sorted(name for side in told["sides"].values() for name in side) == ["P0", "P1", "P2", "P3"]
    assert told["readers"][0]["dice"]["total"] == 1.0


def test_a_slip_is_refused_below_the_table(data: Path) -> None:
    written = yaml.safe_load(data.read_text())
    written["labels"]["reticulation"] = [9]
    data.write_text(yaml.safe_dump(written))
    code, page, error = check(str(data))
    assert code == 1
    assert isinstance(error, DatasetRejected)
    assert error.code == "label_value_absent"
    assert "nothing: ignored" in page
