"""The course of a patient as a chart: values and their places in a drawing of 720 by 300."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from compose.status_page import words
from worker.analysis.serial import Timepoint

WIDTH, HEIGHT = 720.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 48.0, 16.0, 12.0, 32.0
DATED = 8
# Intervals of one day stand beside each other, and days have room for their names.
BESIDE, ROOM_OF_A_DAY = 7.0, 150.0


@dataclass(frozen=True)
class Dot:
    """One extent: its place, the ends of its interval, and the words of its tooltip."""

    x: float
    y: float
    low: float
    high: float
    says: str


@dataclass(frozen=True)
class Line:
    """One finding over time."""

    region: str
    name: str
    dots: tuple[Dot, ...]

    @property
    def points(self) -> str:
        """The line as SVG wants it."""
        return " ".join(f"{dot.x:.1f},{dot.y:.1f}" for dot in self.dots)


@dataclass(frozen=True)
class Chart:
    """The lines, and where their axes have marks."""

    lines: tuple[Line, ...]
    heights: tuple[tuple[float, str], ...]
    days: tuple[tuple[float, str], ...]


def chart_of(points: Sequence[Timepoint]) -> Chart | None:
    """Return the chart of exams, oldest first; None where fewer than two have a date."""
    dated = [point for point in points if _day_of(point) is not None]
    if len(dated) < 2:
        return None
    most = max(max(one.value, one.upper or 0.0) for point in dated for one in point.extents.values())
    scale = next(step for step in (10.0, 20.0, 40.0, 60.0, 80.0, 100.0) if most <= step or step == 100.0)
    first, last = (_ordinal(dated[end]) for end in (0, -1))

    def across(point: Timepoint) -> float:
        share = (_ordinal(point) - first) / max(last - first, 1)
        return LEFT + 12 + share * (WIDTH - LEFT - RIGHT - 24)

    def up(value: float) -> float:
        return HEIGHT - BOTTOM - value / scale * (HEIGHT - TOP - BOTTOM)

    lines = [
        Line(
            region,
            name,
            tuple(
                _dot(point, region, across(point) + (place - 1.5) * BESIDE, up)
                for point in dated
                if region in point.extents
            ),
        )
        for place, (region, name) in enumerate(words.REGIONS.items())
    ]
    marks = tuple((up(scale * part / 4), f"{scale * part / 4:g}") for part in range(5))
    days = {f"{_day_of(point):%Y-%m-%d}": across(point) for point in dated}
    return Chart(tuple(line for line in lines if line.dots), marks, _with_room(days))


def _with_room(days: dict[str, float]) -> tuple[tuple[float, str], ...]:
    """Return the days that can be named without one covering another: the last, and of the others what fits."""
    named: list[tuple[float, str]] = []
    for text, x in reversed(days.items()):
        if not named or named[-1][0] - x >= ROOM_OF_A_DAY:
            named.append((x, text))
    return tuple(reversed(named))


def _dot(point: Timepoint, region: str, x: float, up: Callable[[float], float]) -> Dot:
    extent = next(one for key, one in point.extents.items() if key == region)
    low = extent.value if extent.lower is None else extent.lower
    high = extent.value if extent.upper is None else extent.upper
    between = f" ({low:.1f} to {high:.1f})" if extent.lower is not None else ""
    says = f"{_day_of(point):%Y-%m-%d}: {words.REGIONS[region]} {extent.value:.1f} %{between}"
    return Dot(x, up(extent.value), up(low), up(high), says)


def _day_of(point: Timepoint) -> datetime | None:
    try:
        return datetime.strptime(point.exam.acquired[:DATED], "%Y%m%d")
    except ValueError:
        return None


def _ordinal(point: Timepoint) -> int:
    day = _day_of(point)
    return day.toordinal() if day else 0
