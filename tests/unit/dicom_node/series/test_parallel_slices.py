"""What completeness makes of stacks whose direction cosines are not exactly equal, and of those that truly differ."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.image_plane import ImagePlane
from dicom_node.series.completeness import Complete, Evidence, Incomplete, Policy, Waiting, judge, measure

NOW = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = Policy(quiet_s=30, gap_wait_s=120, stalled_s=900)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def plane(
    z_mm: float,
    orientation: tuple[float, float, float, float, float, float] = AXIAL,
    side: int = 512,
    image_type: str = "AXIAL",
) -> ImagePlane:
    return ImagePlane(orientation, (-170.0, -150.0, z_mm), side, side, ("ORIGINAL", "PRIMARY", image_type))


def judged(planes: list[ImagePlane | None], quiet_s: float, association_open: bool = False) -> object:
    return judge(Evidence(planes, NOW - timedelta(seconds=quiet_s), association_open), POLICY, NOW)


@given(cosine=st.floats(-1, 1), jitter=st.floats(1e-7, 1e-4))
def test_jitter_of_direction_cosines_in_any_plane_makes_no_gap(cosine: float, jitter: float) -> None:
    stack = [plane(2.0 * n, (1.0, cosine + jitter * (n % 2), 0.0, 0.0, 1.0, 0.0)) for n in range(20)]
    geometry = measure(stack)
    assert (geometry.slices, geometry.gaps) == (20, ())


@given(missing=st.sets(st.integers(1, 28), min_size=1, max_size=6), step_mm=st.floats(0.3, 10))
def test_gaps_hold_every_missing_slice_and_nothing_else(missing: set[int], step_mm: float) -> None:
    geometry = measure([plane(n * step_mm) for n in range(30) if n not in missing])
    runs = {n for n in missing if n - 1 not in missing}
    assert {round(at / step_mm) + 1 for at, _ in geometry.gaps} == runs
    assert sum(round(width / step_mm) - 1 for _, width in geometry.gaps) == len(missing)


def test_a_coronal_stack_beside_the_largest_makes_no_gap() -> None:
    coronal = [plane(5.0 * n, (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)) for n in range(5)]
    thumbnail = [plane(40.0, side=128)]
    assert measure([*(plane(1.5 * n) for n in range(40)), *coronal, *thumbnail]).gaps == ()


def test_a_localizer_or_an_unplaced_image_waits_only_for_quiet() -> None:
    for alone in ([plane(0.0, image_type="LOCALIZER")], [None]):
        assert judged(alone, 29) == Waiting("not_quiet_yet")
        assert isinstance(judged(alone, 30), Complete)


def test_an_open_association_holds_its_series_until_it_stalls() -> None:
    whole = [plane(2.0 * n) for n in range(10)]
    assert judged(whole, 899, association_open=True) == Waiting("association_open")
    assert isinstance(judged(whole, 900, association_open=True), Complete)


@pytest.mark.parametrize(("quiet_s", "verdict"), [(30, Waiting), (119, Waiting), (120, Incomplete)])
def test_a_gap_waits_its_time_and_is_then_told_with_its_numbers(quiet_s: float, verdict: type) -> None:
    found = judged([plane(2.0 * n) for n in range(10) if n != 4], quiet_s)
    assert isinstance(found, verdict)
    if isinstance(found, Incomplete):
        assert found.code == "gap_remains"
        assert found.detail["gaps"] == [{"after_mm": 6.0, "gap_mm": 4.0}]


def test_a_clock_set_back_makes_a_series_wait_not_fail() -> None:
    assert judged([plane(2.0 * n) for n in range(10)], -3600) == Waiting("not_quiet_yet")
