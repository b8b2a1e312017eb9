"""Two exams of one patient: change, interval, caveats, and who is not joined. Expected numbers are worked by hand."""

from dataclasses import replace

import pytest

from worker.analysis import serial
from worker.analysis.records import Region
from worker.analysis.serial import Change, Extent, Timepoint, Verdict
from worker.reading.exam import Exam, Patient

ANNA = Patient("P1", "HOSPITAL", "ANNA^A", "19700101")


def point(acquired: str, extent: Extent, patient: Patient = ANNA, **exam: object) -> Timepoint:
    scan = replace(Exam(f"1.{acquired}", acquired, patient, "B70f", 1.0, False, "HFS"), **exam)
    return Timepoint(scan, f"2.{acquired}", "m" * 64, 4000.0, {Region.TOTAL: extent})


BEFORE, AFTER = point("20250101", Extent(10, 8, 13)), point("20260101", Extent(18, 14, 21))


def test_the_interval_is_made_of_the_bounds_of_both() -> None:
    compared = serial.with_earlier([BEFORE], AFTER)
    assert compared is not None
    (change,) = compared.changes
    # Down: 4 below the later and 3 above the earlier; up: 3 above the later and 2 below the earlier.
    assert (change.points, change.lower, change.upper) == (8, 8 - 5, pytest.approx(8 + 13**0.5))
    assert change.verdict() is Verdict.INCREASE
    assert compared.caveats == ()


@pytest.mark.parametrize(
    ("points", "lower", "upper", "verdict"),
    [
        (4.9, 4, 6, Verdict.NO_CHANGE),
        (5.0, 1, 9, Verdict.INCREASE),
        (-6.0, -9, -1, Verdict.DECREASE),
        (6.0, -1, 9, Verdict.UNCERTAIN),
        (-6.0, None, None, Verdict.DECREASE),
    ],
)
def test_a_verdict_needs_size_and_certainty(
    points: float, lower: float | None, upper: float | None, verdict: Verdict
) -> None:
    assert Change(Region.TOTAL, points, lower, upper).verdict() is verdict


@pytest.mark.parametrize(
    ("changed", "caveat"),
    [
        ({"kernel": "B30f"}, "other_kernel"),
        ({"thickness_mm": 1.26}, "other_thickness"),
        ({"thickness_mm": 1.24}, None),
        ({"contrast": True}, "other_contrast"),
        ({"position": "HFP"}, "other_position"),
    ],
)
def test_what_differs_in_the_scan_is_named(changed: dict[str, object], caveat: str | None) -> None:
    later = point("20260101", Extent(18), **changed)
    assert serial.caveats(BEFORE, later) == ((caveat,) if caveat else ())


def test_another_breath_or_model_is_named() -> None:
    assert serial.caveats(BEFORE, replace(AFTER, lung_ml=3390.0)) == ("other_lung_volume",)
    assert serial.caveats(BEFORE, replace(AFTER, lung_ml=3410.0)) == ()
    assert serial.caveats(BEFORE, replace(AFTER, model_digest="n" * 64)) == ("other_model",)


@pytest.mark.parametrize(("field", "value"), [("issuer", "OTHER"), ("name", "BERTA^B"), ("birth_date", "19700102")])
def test_the_same_id_of_somebody_else_is_not_joined(field: str, value: str) -> None:
    stranger = point("20250101", Extent(10, 8, 13), replace(ANNA, **{field: value}))
    assert serial.with_earlier([stranger], AFTER) is None
    assert serial.split([stranger, AFTER], ANNA) == ((AFTER,), (stranger,))
    assert serial.conflicts(stranger.exam.patient, ANNA) == (field,)


def test_nothing_is_compared_without_a_patient_id() -> None:
    nobody = Patient("")
    before, after = point("20250101", Extent(10), nobody), point("20260101", Extent(18), nobody)
    assert serial.with_earlier([before], after) is None


def test_the_last_earlier_exam_in_its_closest_form_is_taken() -> None:
    older, soft = (
        point("20240101", Extent(2)),
        replace(BEFORE, exam=replace(BEFORE.exam, kernel="B30f"), series_uid="2.9"),
    )
    later_still = point("20270101", Extent(30))
    same_study = replace(AFTER, series_uid="2.7")
    compared = serial.with_earlier([later_still, soft, BEFORE, older, same_study], AFTER)
    assert compared is not None
    assert compared.earlier == BEFORE
