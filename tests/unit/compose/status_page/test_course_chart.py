"""The chart of a patient's course: places that follow from numbers."""

from itertools import pairwise

import pytest

from compose.status_page.course_chart import BOTTOM, HEIGHT, TOP, chart_of
from worker.analysis.records import Region
from worker.analysis.serial import Extent, Timepoint
from worker.reading.exam import Exam, Patient

PATIENT = Patient("P", "", "", "")


def point(acquired: str, value: float, lower: float | None = None, upper: float | None = None) -> Timepoint:
    exam = Exam("1.2", acquired, PATIENT, "B30f", 1.0, False, "HFS")
    return Timepoint(exam, f"1.{acquired}", "m", 4000.0, {Region.TOTAL: Extent(value, lower, upper)})


def test_time_goes_right_and_disease_goes_up() -> None:
    chart = chart_of([point("20240101", 5.0, 4.0, 8.0), point("20240701", 10.0), point("20250101", 20.0, 15.0, 30.0)])
    assert chart is not None
    (line,) = chart.lines
    xs, ys = [dot.x for dot in line.dots], [dot.y for dot in line.dots]
    assert xs == sorted(xs)
    assert [text for _, text in chart.days] == ["2024-01-01", "2024-07-01", "2025-01-01"]
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], rel=0.02)
    # The axis ends at 40: a quarter of the way for each 10.
    quarter = (HEIGHT - TOP - BOTTOM) / 4
    assert ys[1] - ys[2] == pytest.approx(quarter)
    assert line.dots[2].low - line.dots[2].high == pytest.approx(1.5 * quarter)
    assert line.dots[1].low == line.dots[1].high == ys[1]
    assert [text for _, text in chart.heights] == ["0", "10", "20", "30", "40"]
    assert line.dots[0].says == "2024-01-01: all disease 5.0 % (4.0 to 8.0)"


def test_one_exam_or_none_with_a_date_is_no_course() -> None:
    assert chart_of([]) is None
    assert chart_of([point("20240101", 5.0), point("", 6.0), point("2024", 6.0)]) is None


def test_two_exams_of_one_day_are_no_division_by_nothing() -> None:
    assert chart_of([point("20240101080000", 5.0), point("20240101090000", 6.0)]) is not None


def test_many_exams_leave_room_for_the_names_of_days() -> None:
    chart = chart_of([point(f"2024{month:02}01", 5.0) for month in range(1, 13)])
    assert chart is not None
    places = [x for x, _ in chart.days]
    assert chart.days[-1][1] == "2024-12-01"
    assert 3 <= len(places) <= 5
    assert min(after - before for before, after in pairwise(places)) >= 150
