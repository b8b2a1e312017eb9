"""`scleroscan history`: a patient whose disease grew as it was drawn, and strangers under the same ID."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.engine import open_database
from db.tracking import FlagRow, JobResults, MeasurementRow
from tests.integration.compose.test_command import only_line, scleroscan
from tests.integration.db.test_tracking import IDENTITY, NOW, TERMS, images
from tests.support import databases
from tests.support.json_page import require_documented
from worker import past
from worker.analysis import quantify
from worker.analysis.records import Assessment, Bounds, Region
from worker.phantom.chest_ct import PhantomSpec, render
from worker.reading.exam import Exam, Patient

SPEC = PhantomSpec(seed=11, shape=(24, 64, 64), spacing_mm=(11.5, 5.6, 5.6), consolidation_share=0.0)
SSC = Patient("SSC-1", "CLINIC", "PHANTOM^SSC", "19700101")
EXAMS = {
    "2024": (10.0, Exam("1.2024", "20240301101500", SSC, "B70f", 1.0, False, "HFS")),
    "2025": (25.0, Exam("1.2025", "20250303", SSC, "B30f", 1.0, False, "HFS")),
}


@cache
def measured(extent_pct: float) -> Assessment:
    """The truth of a phantom of one patient, between bounds 2 points below and 3 points above."""
    phantom = render(replace(SPEC, extent_pct=extent_pct))
    share = extent_pct / 100
    bounds = (Bounds(Region.TOTAL, share - 0.02, share + 0.03),)
    # So large voxels mix lung with its wall, and pass for a shallow breath, after which bounds are wider.
    full_of_air = replace(phantom.volume, hu=phantom.volume.hu - 100)
    return quantify.assess(full_of_air, phantom.lungs, replace(phantom.patterns, bounds=bounds))


def record(sessions: sessionmaker[Session], series: str, exam: Exam, extent_pct: float) -> None:
    """Leave an exam as the worker does."""
    numbers = measured(extent_pct).measurements
    rows = tuple(MeasurementRow(m.region, m.side, m.zone, m.quantity, m.value, m.unit) for m in numbers)
    arrivals = images(2, series_uid=series, study_uid=exam.study_uid, patient_id=exam.patient.patient_id)
    with sessions.begin() as session:
        named = [replace(one, sop_uid=f"{series}.{n}", path=f"{series}/{n}") for n, one in enumerate(arrivals)]
        tracking.register(session, named, NOW)
        tracking.close_series(session, series, "complete", "quiet", {}, NOW)
        held = tracking.claim(session, tracking.open_job(session, series, IDENTITY, NOW), "worker", TERMS, NOW)
        assert held is not None
        results = JobResults(rows, (FlagRow("thick_slices", "", 11.5),), (), past.row_of(exam))
        tracking.record_results(session, held, results, (), NOW)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site with two exams of one patient, the disease grown from 10 to 25 % of the lungs."""
    sessions = open_database(databases.sqlite(tmp_path / "site" / "rows.db"))
    for series, (extent_pct, exam) in EXAMS.items():
        record(sessions, f"2.{series}", exam, extent_pct)
    stranger = replace(EXAMS["2024"][1], study_uid="1.9", patient=replace(SSC, birth_date="19550505"))
    record(sessions, "2.9", replace(stranger, acquired="20230101"), 10.0)
    sessions.kw["bind"].dispose()
    return tmp_path


def test_growth_is_told_with_its_interval_and_its_caveat(site: Path) -> None:
    said = json.loads(scleroscan(site, "history", "SSC-1", "--json").stdout)
    require_documented("history", said)
    before, after = said["exams"]
    grown = measured(25.0).value("total", "extent") - measured(10.0).value("total", "extent")
    points, lower, upper = after["changes"]["total"]["points"]
    assert grown == pytest.approx(15, abs=0.5)
    assert (before["changes"], points) == ({}, pytest.approx(grown))
    # 2 and 3 points to either side in each exam.
    assert (points - lower, upper - points) == (pytest.approx(13**0.5, abs=0.2), pytest.approx(13**0.5, abs=0.2))
    assert after["changes"]["total"]["verdict"] == "increase"
    assert after["caveats"] == ["other_kernel"]
    assert [before["goh_category"], after["goh_category"]] == [before["goh_category"], "indeterminate, FVC required"]


def test_a_stranger_under_the_same_id_is_a_conflict(site: Path) -> None:
    said = json.loads(scleroscan(site, "history", "SSC-1", "--json").stdout)
    assert [exam["series_uid"] for exam in said["exams"]] == ["2.2024", "2.2025"]
    (conflict,) = said["conflicts"]
    assert (conflict["series_uid"], conflict["differs"]) == ("2.9", ["birth_date"])


def test_people_get_a_table_and_a_plot(site: Path) -> None:
    drawn = site / "course.png"
    table = scleroscan(site, "history", "SSC-1", "--fvc", "65", "--plot", str(drawn), COLUMNS="160")
    assert table.returncode == 0, table.stderr
    assert "increase" in table.stdout
    assert "other kernel" in table.stdout
    assert "extensive" in table.stdout
    assert "another birth date" in table.stdout
    assert drawn.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_no_word_of_the_table_is_broken_at_80_columns(site: Path) -> None:
    table = scleroscan(site, "history", "SSC-1", COLUMNS="80").stdout
    words = ("reticulation", "consolidation", "indeterminate,", "2025-03-03", "increase", "caveats")
    assert [word for word in words if word not in table] == []
    assert "…" not in table
    assert {len(line) for line in table.splitlines() if line.startswith("│")} <= set(range(81))


def test_an_id_that_nobody_has_is_one_line(site: Path) -> None:
    assert only_line(scleroscan(site, "history", "NOBODY")) == "no measured exam of a patient with the ID NOBODY"
