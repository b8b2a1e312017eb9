"""The operator's commands on a series."""

import json
from pathlib import Path

import pytest

from tests.support import site_rows
from tests.support.command import run
from tests.support.site_rows import DELIVERED


@pytest.fixture
def url(tmp_path: Path) -> str:
    return site_rows.site(tmp_path)


def test_a_series_is_measured_again_with_the_model_now_installed(url: str) -> None:
    said = run("measure", DELIVERED, DB_URL=url)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith(f"job 3 is queued: it measures series {DELIVERED} with model ")
    again = run("measure", DELIVERED, DB_URL=url)
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr.startswith("job 3 has measured these images with this model, or will")
    results = json.loads(run("audit", DELIVERED, "--json", DB_URL=url).stdout)["results"]
    assert [(row["job_id"], row["state"], row["superseded_by_job_id"]) for row in results] == [(1, "superseded", 3)]


@pytest.mark.parametrize("word", ["measure", "reconsider"])
def test_an_unknown_series_is_neither_measured_nor_judged(url: str, word: str) -> None:
    said = run(word, "9.9", DB_URL=url)
    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr == "series 9.9 is unknown here: no image of it was registered\n"


def test_what_was_not_skipped_is_not_reconsidered(url: str) -> None:
    said = run("reconsider", DELIVERED, DB_URL=url)
    assert said.returncode == 1
    assert said.stderr == f"series {DELIVERED} is complete: only a series that was skipped can be reconsidered\n"
