"""The extents of a result as bars with their intervals."""

from collections.abc import Mapping
from dataclasses import dataclass

from compose.status_page import words
from db.series_record import Place
from worker.analysis import goh


@dataclass(frozen=True)
class Bar:
    """One extent in percent of both lungs; ``lower`` and ``upper`` are None where it has no interval."""

    region: str
    name: str
    value: float
    lower: float | None
    upper: float | None

    @property
    def interval(self) -> str:
        """The interval in words; empty where there is none."""
        return "" if self.lower is None or self.upper is None else f"{self.lower:.1f} to {self.upper:.1f}"


@dataclass(frozen=True)
class Extents:
    """The bars, on a scale from 0 to ``scale`` percent; Goh's category and the volume of both lungs."""

    bars: tuple[Bar, ...]
    scale: float
    goh: str
    lung_ml: float | None


def extent_bars(numbers: Mapping[Place, float]) -> Extents | None:
    """Return the extents of both lungs; None where nothing was measured."""
    bars = tuple(
        Bar(
            region=region,
            name=name,
            value=numbers[region, "both", "extent"],
            lower=numbers.get((region, "both", "extent_lower")),
            upper=numbers.get((region, "both", "extent_upper")),
        )
        for region, name in words.REGIONS.items()
        if (region, "both", "extent") in numbers
    )
    if not bars or bars[0].region != "total":
        return None
    most = max(max(bar.value, bar.upper or 0.0) for bar in bars)
    scale = next(step for step in (10.0, 25.0, 50.0, 100.0) if most <= step or step == 100.0)
    return Extents(bars, scale, goh.category(bars[0].value).words, numbers.get(("lung", "both", "volume")))
