"""Is a series whole? Arrivals, geometry and quiet in; a verdict with its reason out. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from math import sqrt
from statistics import median
from typing import Any

TOLERANCE_MM = 0.1
# Slices that differ by less in every direction cosine are one stack; whether it can be measured the gate decides.
COSINE_TOLERANCE = 0.01
# A gap is a step this much larger than the usual one.
GAP_FACTOR = 1.5
FEWEST_FOR_GEOMETRY = 3
Place = dict[str, Any]


@dataclass(frozen=True)
class Policy:
    """How long to wait. ``stalled_s``: an open association silent for longer no longer holds a series back."""

    quiet_s: float
    gap_wait_s: float
    stalled_s: float


@dataclass(frozen=True)
class Waiting:
    """More may come."""

    code: str


@dataclass(frozen=True)
class Complete:
    """No more is expected; ``code`` names the evidence."""

    code: str
    detail: dict[str, Any]


@dataclass(frozen=True)
class Broken:
    """No more came, and slices are missing; ``detail`` has the numbers."""

    code: str
    detail: dict[str, Any]


@dataclass(frozen=True)
class Geometry:
    """The largest stack of parallel slices of a series.

    ``gaps`` are (position before the gap in mm along the normal, width of the gap in mm).
    """

    slices: int
    step_mm: float | None
    gaps: tuple[tuple[float, float], ...]


def judge(
    places: Sequence[Place | None],
    last_arrival_at: datetime,
    association_open: bool,
    policy: Policy,
    now: datetime,
) -> Waiting | Complete | Broken:
    """Say whether a series is whole.

    Parameters
    ----------
    places
        Geometry of every instance; None where its header has none.
    association_open
        Whether an association that carried images of the series is still open.
    """
    quiet_s = (now - last_arrival_at).total_seconds()
    if association_open and quiet_s < policy.stalled_s:
        return Waiting("association_open")
    if quiet_s < policy.quiet_s:
        return Waiting("not_quiet_yet")
    geometry = measure(places)
    detail = {"instances": len(places), "slices": geometry.slices, "quiet_s": round(quiet_s, 1)}
    if geometry.gaps:
        if quiet_s < policy.gap_wait_s:
            return Waiting("gap_waits")
        gaps = [{"after_mm": round(at, 2), "gap_mm": round(width, 2)} for at, width in geometry.gaps[:20]]
        return Broken("gap_remains", {**detail, "step_mm": _rounded(geometry.step_mm), "gaps": gaps})
    if geometry.slices >= FEWEST_FOR_GEOMETRY:
        return Complete("contiguous", {**detail, "step_mm": _rounded(geometry.step_mm)})
    return Complete("quiet", detail)


def measure(places: Sequence[Place | None]) -> Geometry:
    """Find the largest group of parallel slices and the gaps in it; localizers and unplaced images stand apart."""
    groups: list[list[Place]] = []
    for place in places:
        if place is not None and "LOCALIZER" not in place["image_type"]:
            group = next((g for g in groups if _are_parallel(g[0], place)), None)
            if group is None:
                groups.append([place])
            else:
                group.append(place)
    largest = max(groups, key=len, default=[])
    positions = sorted({round(_along_normal(place), 2) for place in largest})
    steps = [after - before for before, after in pairwise(positions)]
    if len(positions) < FEWEST_FOR_GEOMETRY:
        return Geometry(len(largest), None, ())
    step = median(steps)
    limit = max(step * GAP_FACTOR, step + TOLERANCE_MM)
    gaps = tuple((before, width) for before, width in zip(positions, steps, strict=False) if width > limit)
    return Geometry(len(largest), step, gaps)


def _are_parallel(one: Place, other: Place) -> bool:
    if (one["rows"], one["columns"]) != (other["rows"], other["columns"]):
        return False
    cosines = zip(one["orientation"], other["orientation"], strict=True)
    return all(abs(a - b) <= COSINE_TOLERANCE for a, b in cosines)


def _along_normal(place: Place) -> float:
    rx, ry, rz, cx, cy, cz = place["orientation"]
    normal = (ry * cz - rz * cy, rz * cx - rx * cz, rx * cy - ry * cx)
    length = sqrt(sum(v * v for v in normal)) or 1.0
    return float(sum(p * n for p, n in zip(place["position"], normal, strict=True)) / length)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
