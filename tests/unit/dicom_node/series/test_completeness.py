"""When a series is whole."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from db import tracking
from db.image_plane import ImagePlane
from dicom_node.scheduler.closing import UNJUDGEABLE
from dicom_node.series import completeness
from dicom_node.series.completeness import Complete, Evidence, Incomplete, Policy, Waiting, judge, measure
from tests.support import REPOSITORY

LAST = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = Policy(quiet_s=10, gap_wait_s=60, stalled_s=300, settle_s=2)


def plane(position_mm: float) -> ImagePlane:
    return ImagePlane(
        (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), (0.0, 0.0, position_mm), 512, 512, ("ORIGINAL", "PRIMARY", "AXIAL")
    )


def judged(
    planes: list[ImagePlane | None],
    after_s: float,
    association_open: bool = False,
    expected: int | None = None,
    committed: bool = False,
    broke_off: bool = False,
    not_sent_again: int = 0,
) -> Waiting | Complete | Incomplete:
    evidence = Evidence(planes, LAST, association_open, expected, committed, broke_off, not_sent_again)
    return judge(evidence, POLICY, LAST + timedelta(seconds=after_s))


STACK = [plane(2.5 * n) for n in range(20)]
GAPPED = [p for n, p in enumerate(STACK) if n not in {7, 8}]


def test_a_series_is_not_complete_before_it_is_quiet() -> None:
    assert judged([*STACK], 9) == Waiting("not_quiet_yet")


def test_a_quiet_contiguous_series_is_complete() -> None:
    verdict = judged([*STACK], 10)
    assert isinstance(verdict, Complete)
    assert (verdict.code, verdict.detail["slices"], verdict.detail["step_mm"]) == ("contiguous", 20, 2.5)


def test_a_series_waits_for_its_association_to_end() -> None:
    assert judged([*STACK], 100, association_open=True) == Waiting("association_open")


def test_a_stalled_association_does_not_hold_a_series_for_ever() -> None:
    verdict = judged([*STACK], 300, association_open=True)
    assert isinstance(verdict, Complete)
    assert (verdict.code, verdict.detail["evidence"]) == ("quiet", ["contiguous"])


def test_a_gap_waits_longer() -> None:
    assert judged([*GAPPED], 59) == Waiting("gap_remains")


def test_a_gap_that_remains_breaks_the_series_and_is_named() -> None:
    verdict = judged([*GAPPED], 60)
    assert isinstance(verdict, Incomplete)
    assert verdict.code == "gap_remains"
    assert verdict.detail["gaps"] == [{"after_mm": 15.0, "gap_mm": 7.5}]


def test_the_order_of_arrival_does_not_matter() -> None:
    assert measure(STACK[::-1]) == measure(STACK)


def test_a_localizer_beside_the_stack_makes_no_gap() -> None:
    sagittal = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
    localizer = replace(plane(500.0), orientation=sagittal, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))
    assert measure([*STACK, localizer]).gaps == ()


def test_images_without_positions_are_complete_when_quiet() -> None:
    verdict = judged([None, None], 10)
    assert isinstance(verdict, Complete)
    assert verdict.code == "quiet"


@pytest.mark.parametrize("jitter_mm", [0.0, 0.03, -0.03])
def test_small_jitter_of_positions_is_no_gap(jitter_mm: float) -> None:
    jittered = [plane(1.0 * n + (jitter_mm if n % 2 else 0)) for n in range(20)]
    assert measure(jittered).gaps == ()


def test_the_number_at_the_source_completes_a_series_early() -> None:
    assert judged([*STACK], 1, expected=20) == Waiting("not_quiet_yet")
    verdict = judged([*STACK], 2, expected=20)
    assert isinstance(verdict, Complete)
    assert (verdict.code, verdict.detail["expected"]) == ("expected_number", 20)
    assert verdict.detail["evidence"] == ["association_ended", "contiguous", "expected_number"]


def test_a_series_short_of_the_source_waits_then_is_incomplete() -> None:
    assert judged([*STACK], 59, expected=21) == Waiting("fewer_than_expected")
    verdict = judged([*STACK], 60, expected=21)
    assert isinstance(verdict, Incomplete)
    assert (verdict.code, verdict.detail["instances"], verdict.detail["expected"]) == ("fewer_than_expected", 20, 21)


def test_a_source_with_fewer_images_than_received_proves_nothing() -> None:
    assert judged([*STACK], 9, expected=19) == Waiting("not_quiet_yet")
    verdict = judged([*STACK], 10, expected=19)
    assert isinstance(verdict, Complete)
    assert verdict.code == "contiguous"


def test_a_gap_waits_though_the_number_agrees() -> None:
    assert judged([*GAPPED], 59, expected=18) == Waiting("gap_remains")


def test_a_commitment_of_every_image_completes_a_series_early() -> None:
    assert judged([*STACK], 2) == Waiting("not_quiet_yet")
    verdict = judged([*STACK], 2, committed=True)
    assert isinstance(verdict, Complete)
    assert verdict.code == "commitment"


def test_a_commitment_of_one_image_completes_nothing_early() -> None:
    assert judged([STACK[0]], 2, committed=True) == Waiting("not_quiet_yet")


def test_no_evidence_closes_a_series_whose_association_is_open() -> None:
    assert judged([*STACK], 100, association_open=True, expected=20, committed=True) == Waiting("association_open")


def test_a_stack_that_broke_off_waits_and_is_then_incomplete() -> None:
    assert judged([*STACK], 59, broke_off=True) == Waiting("association_broken_off")
    verdict = judged([*STACK], 60, broke_off=True)
    assert isinstance(verdict, Incomplete)
    assert (verdict.code, verdict.detail["evidence"]) == ("association_broken_off", ["contiguous"])


def test_images_without_geometry_that_broke_off_are_incomplete() -> None:
    verdict = judged([None], 60, broke_off=True)
    assert isinstance(verdict, Incomplete)
    assert verdict.code == "association_broken_off"


def test_the_number_of_the_source_outweighs_a_break() -> None:
    verdict = judged([*STACK], 2, expected=20, broke_off=True)
    assert isinstance(verdict, Complete)
    assert (verdict.code, verdict.detail["evidence"]) == ("expected_number", ["contiguous", "expected_number"])


def test_a_commitment_request_for_every_image_outweighs_a_break() -> None:
    verdict = judged([*STACK], 2, committed=True, broke_off=True)
    assert isinstance(verdict, Complete)
    assert (verdict.code, verdict.detail["evidence"]) == ("commitment", ["contiguous", "commitment"])


def test_missing_slices_outweigh_a_break() -> None:
    assert judged([*GAPPED], 59, broke_off=True) == Waiting("gap_remains")
    assert judged([*STACK], 59, expected=21, broke_off=True) == Waiting("fewer_than_expected")


@pytest.mark.parametrize("planes", [STACK, GAPPED, [None, None]], ids=["whole", "gapped", "nowhere"])
def test_fewer_images_than_the_result_had_are_incomplete(planes: list[ImagePlane | None]) -> None:
    assert judged([*planes], 59, not_sent_again=3) == Waiting("fewer_than_before")
    verdict = judged([*planes], 60, not_sent_again=3)
    assert isinstance(verdict, Incomplete)
    assert (verdict.code, verdict.is_cut_off) == ("fewer_than_before", True)
    assert (verdict.detail["instances"], verdict.detail["not_sent_again"]) == (len(planes), 3)


def test_neither_source_nor_commitment_makes_up_for_them() -> None:
    verdict = judged([*STACK], 60, expected=len(STACK), committed=True, not_sent_again=3)
    assert isinstance(verdict, Incomplete)
    assert verdict.code == "fewer_than_before"


def test_a_gap_alone_is_not_cut_off_and_the_gate_judges_it() -> None:
    gapped, short = judged([*GAPPED], 60), judged([*STACK], 60, expected=21)
    assert isinstance(gapped, Incomplete)
    assert isinstance(short, Incomplete)
    assert (gapped.is_cut_off, short.is_cut_off) == (False, True)


def test_every_code_of_a_series_is_documented() -> None:
    document = (REPOSITORY / "docs" / "reference" / "series-codes.md").read_text()
    documented = set(re.findall(r"^\| `(\w+)` \|", document, flags=re.MULTILINE))
    returned = set(re.findall(r'(?:return|else) "(\w+)"', Path(completeness.__file__).read_text()))
    judgements = {"expected_number", "commitment", "contiguous", "quiet", "gap_remains", *completeness.CUT_OFF}
    assert documented == judgements | {UNJUDGEABLE, tracking.NOT_ELIGIBLE, tracking.BETTER_RECONSTRUCTION}
    assert returned <= judgements
