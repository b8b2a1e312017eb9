"""What ``status`` and ``audit`` show, find and refuse."""

import json
from pathlib import Path

import pytest

from tests.support import site_rows
from tests.support.command import run
from tests.support.site_rows import DELIVERED, NEXT_TRY, WAITING


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return site_rows.site(tmp_path_factory.mktemp("site"))


def shown(url: str, *words: str, **environ: str) -> str:
    said = run(*words, DB_URL=url, **environ)
    assert (said.returncode, said.stderr) == (0, "")
    return said.stdout


def read(url: str, *words: str, **environ: str) -> list[dict[str, object]]:
    return list(json.loads(shown(url, *words, "--json", **environ)))


def found(url: str, *words: str) -> list[object]:
    return [row["series_uid"] for row in read(url, "status", *words)]


def test_status_shows_the_doubts(url: str) -> None:
    assert "gapped, thick_slices" in shown(url, "status", DELIVERED)
    assert read(url, "status", DELIVERED)[0]["flags"] == ["gapped", "thick_slices"]


@pytest.mark.parametrize("words", [("audit",), ("audit", DELIVERED)])
def test_audit_shows_the_doubts(url: str, words: tuple[str, ...]) -> None:
    assert "gapped, thick_slices" in shown(url, *words)


def test_status_shows_sender_time_and_result(url: str) -> None:
    text = shown(url, "status", DELIVERED, TZ="Asia/Tehran")
    for part in ("CT1", "2026-01-02T06:34:05+03:30", "total 12.5 %: ", "reticulation 3.2", DELIVERED):
        assert part in text
    (row,) = read(url, "status", DELIVERED)
    assert (row["senders"], row["extents_pct"]) == (["CT1"], site_rows.EXTENTS)
    assert row["last_arrival_at"] == "2026-01-02T03:04:05+00:00"


def test_status_shows_the_next_try_of_a_delivery(url: str) -> None:
    assert f"next try {NEXT_TRY.isoformat()}" in shown(url, "status", WAITING, TZ="UTC")
    (row,) = read(url, "status", WAITING)
    (delivery,) = row["deliveries"]  # type: ignore[attr-defined]
    assert (delivery["state"], delivery["next_try_at"]) == ("pending", NEXT_TRY.isoformat())
    ((done,),) = (one["deliveries"] for one in read(url, "status", DELIVERED))  # type: ignore[attr-defined]
    assert done["next_try_at"] is None


def test_status_shows_patients_only_where_that_is_allowed(url: str) -> None:
    assert "P1" not in shown(url, "status", DELIVERED)
    assert read(url, "status", DELIVERED)[0]["patient_ids"] is None
    assert "patient P1" in shown(url, "status", DELIVERED, "--patients")
    assert read(url, "status", DELIVERED, SCLEROSCAN_SHOW_PATIENTS="true")[0]["patient_ids"] == ["P1"]


@pytest.mark.parametrize(
    ("words", "series"),
    [
        ((), [WAITING, DELIVERED]),
        (("--state", "delivered"), [DELIVERED]),
        (("--state", "encoded"), [WAITING]),
        (("--state", "failed"), []),
        (("--patient", "P2"), [WAITING]),
        (("--sender", "CT1"), [DELIVERED]),
        (("--since", "2026-01-03"), [WAITING]),
        (("--sender", "CT1", "--patient", "P2"), []),
        (("--limit", "1"), [WAITING]),
    ],
)
def test_status_finds_by(url: str, words: tuple[str, ...], series: list[str]) -> None:
    assert found(url, *words) == series


def test_status_knows_no_other_state(url: str) -> None:
    said = run("status", "--state", "done", DB_URL=url)
    assert said.returncode == 2
    assert "'delivered'" in said.stderr


def test_audit_finds_a_patient(url: str) -> None:
    results = json.loads(shown(url, "audit", "--patient", "P2", "--json"))["results"]
    assert [row["series_uid"] for row in results] == [WAITING]


@pytest.mark.parametrize("words", [("status", "9.9"), ("audit", "9.9"), ("status", "9.9", "--json")])
def test_an_unknown_series_is_said_to_be_unknown(url: str, words: tuple[str, ...]) -> None:
    said = run(*words, DB_URL=url)
    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr == "series 9.9 is unknown here: no image of it was registered\n"


def test_a_patient_without_results_is_said_to_have_none(url: str) -> None:
    said = run("audit", "--patient", "P9", DB_URL=url)
    assert (said.returncode, said.stderr) == (1, "patient P9 is unknown here, or nothing of theirs was measured yet\n")


@pytest.mark.parametrize("words", [("status",), ("audit",), ("audit", DELIVERED)])
def test_lines_fit_eighty_columns(url: str, words: tuple[str, ...]) -> None:
    lines = shown(url, *words).splitlines()
    assert max(map(len, lines)) <= 80
    for uid in (DELIVERED, *([WAITING] if len(words) == 1 else [])):
        assert sum(uid in line for line in lines) >= 1


def test_a_pending_delivery_may_be_tried_now(tmp_path: Path) -> None:
    own = site_rows.site(tmp_path)
    (row,) = read(own, "status", WAITING)
    said = run("retry", str(row["job_id"]), DB_URL=own)
    assert said.stdout == f"1 deliveries of job {row['job_id']} are due now\n"
