"""What an auditor asks of the command: results and events found, as tables, CSV, JSON and Parquet."""

import csv
import io
import json
import sys
from pathlib import Path
from unittest.mock import patch

import pytest
from pyarrow import parquet

from db.audit_columns import COLUMNS
from db.engine import open_database
from tests.support import audited_site, databases
from tests.support.audited_site import Site, uid
from tests.support.command import run


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    found = databases.sqlite(tmp_path_factory.mktemp("site") / "rows.db")
    sessions = open_database(found)
    audited_site.fill(sessions)
    site = Site(sessions, audited_site.START)
    site.receive(12, patient_id='=HYPERLINK("x")')
    site.measure(12, 50.0)
    sessions.kw["bind"].dispose()
    return found


def shown(url: str, *words: str) -> str:
    said = run("audit", *words, DB_URL=url)
    assert (said.returncode, said.stderr) == (0, "")
    return said.stdout


def read_csv(url: str, *words: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(shown(url, *words, "--csv"))))


@pytest.mark.parametrize(
    ("words", "patients"),
    [
        (("--patient", "P7"), ["P7"]),
        (("--study", f"{uid(3)}.0"), ["P3"]),
        (("--since", "2026-02-05T09:00:00+0000"), ["P1"]),
        (("--code", "delivery_failed"), ["P5"]),
        (("--code", "released"), ["P3"]),
        (("--code", "thick_slices", "--since", "2026-02-01"), ["P1", "P10", "P7", "P5", "P4"]),
        (("--code", "missing_slices", "--patient", "P7"), None),
    ],
)
def test_results_are_found_by(url: str, words: tuple[str, ...], patients: list[str] | None) -> None:
    if patients is None:
        said = run("audit", *words, DB_URL=url)
        assert (
            said.stderr
            == "no such result is known here; --events shows what happened to series that were not measured\n"
        )
        assert said.returncode == 1
        return
    assert [row["patient_id"] for row in json.loads(shown(url, *words, "--json"))["results"]] == patients


@pytest.mark.parametrize(
    ("words", "series"),
    [
        # The job, and twice the work item that asked for it.
        (("--code", "missing_slices"), [2, 2, 2]),
        (("--code", "peer_refused", "--since", "2026-02-01"), [5, 5]),
        (("--code", "discarded", "--patient", "P9"), [9]),
        (("--code", "not_eligible", "--study", f"{uid(6)}.0"), [6]),
    ],
)
def test_events_are_found_by(url: str, words: tuple[str, ...], series: list[int]) -> None:
    told = json.loads(shown(url, "--events", *words, "--json"))
    assert [event["series_uid"] for event in told["trail"]] == [uid(number) for number in series]
    assert (told["results"], [row["code"] for row in read_csv(url, "--events", *words)]) == (
        [],
        [words[1]] * len(series),
    )
    assert shown(url, "--events", *words).count(f"series {uid(series[0])}") == len(series)


def test_csv_has_every_column_and_no_formula(url: str) -> None:
    rows = {row["job_id"]: row for row in read_csv(url)}
    told = {str(row["job_id"]): row for row in json.loads(shown(url, "--json"))["results"]}
    assert rows.keys() == told.keys()
    for job_id, row in rows.items():
        assert list(row) == list(COLUMNS["audit_result"])
        for name, value in row.items():
            exact = told[job_id][name]
            assert value.removeprefix("'") == ("" if exact is None else str(exact)), name
    assert [row["patient_id"] for row in rows.values() if row["patient_id"].startswith(("=", "'"))] == [
        '\'=HYPERLINK("x")'
    ]


def test_parquet_has_types_that_do_not_depend_on_rows(url: str, tmp_path: Path) -> None:
    assert shown(url, "--parquet", str(tmp_path / "all.parquet")) == ""
    assert shown(url, "--patient", "P4", "--parquet", str(tmp_path / "one.parquet")) == ""
    table, one = (parquet.read_table(tmp_path / f"{name}.parquet") for name in ("all", "one"))
    assert table.schema == one.schema
    kinds = {str(kind) for kind in table.schema.types}
    assert kinds == {"string", "int64", "double", "timestamp[us, tz=UTC]"}
    told = json.loads(shown(url, "--json"))["results"]
    for row, exact in zip(table.to_pylist(), told, strict=True):
        assert {
            name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()
        } == exact
    assert one.column("delivered_at").null_count == 1
    shown(url, "--events", "--parquet", str(tmp_path / "events.parquet"))
    assert parquet.read_table(tmp_path / "events.parquet").column_names == list(COLUMNS["audit_trail"])


def test_without_pyarrow_the_way_to_it_is_said(url: str, tmp_path: Path) -> None:
    with patch.dict(sys.modules, {"pyarrow": None}):
        said = run("audit", "--parquet", str(tmp_path / "x.parquet"), DB_URL=url)
    assert said.stderr == "Parquet needs pyarrow, which is not installed: pip install 'scleroscan[parquet]'\n"
    assert (said.returncode, list(tmp_path.iterdir())) == (1, [])


def test_verify_says_what_it_compared(url: str, tmp_path: Path) -> None:
    text = shown(url, "verify", "--anchors", str(tmp_path / "none"))
    assert "no anchors" in text.splitlines()[0]
    assert text.splitlines()[1].endswith("events of 11 series: events, rows and files are as they were written")


def test_a_word_that_is_no_command_is_a_series(url: str) -> None:
    assert shown(url, uid(1)) == shown(url, "show", uid(1))
    assert "verify" in shown(url, "--help")
