"""Judges whether a series is whole, from arrival times, slice geometry, source and commitment; functions of values."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from math import sqrt
from statistics import median
from typing import Any

from db.image_plane import POSITION_TOLERANCE_MM, ImagePlane
from db.states import ASSOCIATION_BROKEN_OFF

# Slices that differ by less in every direction cosine count as one stack here; the reading gate measures more strictly.
COSINE_TOLERANCE = 0.01
# A gap is a step this much larger than the usual one.
GAP_FACTOR = 1.5
FEWEST_FOR_GEOMETRY = 3
CUT_OFF = frozenset({"fewer_than_expected", "fewer_than_before", ASSOCIATION_BROKEN_OFF})


@dataclass(frozen=True)
class Policy:
    """How long a series waits without a new image before it is closed.

    ``settle_s`` is enough where the source or the modality says that the series is whole, ``quiet_s`` where nobody
    does, ``gap_wait_s`` where images are missing. An association that is open, but silent for longer than
    ``stalled_s``, no longer holds its series back.
    """

    quiet_s: float
    gap_wait_s: float
    stalled_s: float
    settle_s: float = 5.0


@dataclass(frozen=True)
class Evidence:
    """What is known of a series when it is judged.

    Attributes
    ----------
    planes
        Geometry of every current instance; None where its header has none.
    association_open
        Whether an association that carried images of the series is still open.
    expected
        How many instances the source holds of the series; None where it was not asked or does not know.
    committed
        Whether one storage commitment request of the modality named every instance received so far.
    broke_off
        Whether the last association that carried images of the series ended other than by release.
    not_sent_again
        How many instances of the series' current result were removed after their time and have not come again.
    """

    planes: Sequence[ImagePlane | None]
    last_arrival_at: datetime
    association_open: bool
    expected: int | None = None
    committed: bool = False
    broke_off: bool = False
    not_sent_again: int = 0


@dataclass(frozen=True)
class Waiting:
    """The series stays open: more images may come."""

    code: str


@dataclass(frozen=True)
class Complete:
    """No more images are expected; ``code`` names the strongest evidence for that."""

    code: str
    detail: dict[str, Any]


@dataclass(frozen=True)
class Incomplete:
    """The wait is over, and images are or may be missing; ``code`` names the evidence, ``detail`` has the numbers."""

    code: str
    detail: dict[str, Any]

    @property
    def is_cut_off(self) -> bool:
        """Whether the images may look like a whole stack to the reading gate although some are missing: then no job."""
        return self.code in CUT_OFF


@dataclass(frozen=True)
class Geometry:
    """The largest stack of parallel slices of a series.

    ``gaps`` are (position before the gap in mm along the normal, width of the gap in mm).
    """

    slices: int
    step_mm: float | None
    gaps: tuple[tuple[float, float], ...]


def judge(evidence: Evidence, policy: Policy, now: datetime) -> Waiting | Complete | Incomplete:
    """Say whether a series is whole by its strongest evidence: number, commitment, geometry, or else quiet alone."""
    quiet_s = (now - evidence.last_arrival_at).total_seconds()
    if evidence.association_open and quiet_s < policy.stalled_s:
        return Waiting("association_open")
    if quiet_s < policy.settle_s:
        return Waiting("not_quiet_yet")
    geometry = measure(evidence.planes)
    code = _strongest(evidence, geometry)
    if code in CUT_OFF | {"gap_remains"}:
        return Incomplete(code, _detail(evidence, geometry, quiet_s)) if quiet_s >= policy.gap_wait_s else Waiting(code)
    if code in {"contiguous", "quiet"} and quiet_s < policy.quiet_s:
        return Waiting("not_quiet_yet")
    return Complete(code, _detail(evidence, geometry, quiet_s))


def _strongest(evidence: Evidence, geometry: Geometry) -> str:
    """Name the strongest evidence. More images than the source holds prove nothing: it may still be receiving."""
    missing = _missing(evidence, geometry)
    if missing is not None:
        return missing
    contiguous = geometry.slices >= FEWEST_FOR_GEOMETRY
    if len(evidence.planes) == evidence.expected:
        return "expected_number"
    # Some modalities ask for commitment after each image: the first image alone is then all that came so far, so a
    # request counts only where the images make a stack.
    if evidence.committed and contiguous:
        return "commitment"
    if evidence.broke_off:
        return ASSOCIATION_BROKEN_OFF
    return "contiguous" if contiguous and not evidence.association_open else "quiet"


def _missing(evidence: Evidence, geometry: Geometry) -> str | None:
    """Name the evidence that images are missing; None where there is none."""
    if evidence.expected is not None and len(evidence.planes) < evidence.expected:
        return "fewer_than_expected"
    if evidence.not_sent_again:
        return "fewer_than_before"
    return "gap_remains" if geometry.gaps else None


def _detail(evidence: Evidence, geometry: Geometry, quiet_s: float) -> dict[str, Any]:
    """Return the numbers behind the verdict, and all evidence that was found, not only the strongest."""
    found = {
        "association_ended": not (evidence.association_open or evidence.broke_off),
        "contiguous": geometry.slices >= FEWEST_FOR_GEOMETRY and not geometry.gaps,
        "expected_number": len(evidence.planes) == evidence.expected,
        "commitment": evidence.committed,
    }
    detail: dict[str, Any] = {
        "instances": len(evidence.planes),
        "slices": geometry.slices,
        "quiet_s": round(quiet_s, 1),
    }
    detail["evidence"] = [name for name, there in found.items() if there]
    if evidence.expected is not None:
        detail["expected"] = evidence.expected
    if evidence.not_sent_again:
        detail["not_sent_again"] = evidence.not_sent_again
    if geometry.step_mm is not None:
        detail["step_mm"] = round(geometry.step_mm, 3)
    if geometry.gaps:
        detail["gaps"] = [{"after_mm": round(at, 2), "gap_mm": round(width, 2)} for at, width in geometry.gaps[:20]]
    return detail


def measure(planes: Sequence[ImagePlane | None]) -> Geometry:
    """Find the largest group of parallel slices and its gaps; localizers and images without a plane are left out."""
    groups: list[list[ImagePlane]] = []
    for plane in planes:
        if plane is not None and "LOCALIZER" not in plane.image_type:
            group = next((g for g in groups if _are_parallel(g[0], plane)), None)
            if group is None:
                groups.append([plane])
            else:
                group.append(plane)
    largest = max(groups, key=len, default=[])
    positions = sorted({round(_along_normal(plane), 2) for plane in largest})
    steps = [after - before for before, after in pairwise(positions)]
    if len(positions) < FEWEST_FOR_GEOMETRY:
        return Geometry(len(largest), None, ())
    step = median(steps)
    limit = max(step * GAP_FACTOR, step + POSITION_TOLERANCE_MM)
    gaps = tuple((before, width) for before, width in zip(positions, steps, strict=False) if width > limit)
    return Geometry(len(largest), step, gaps)


def _are_parallel(one: ImagePlane, other: ImagePlane) -> bool:
    if (one.rows, one.columns) != (other.rows, other.columns):
        return False
    cosines = zip(one.orientation, other.orientation, strict=True)
    return all(abs(a - b) <= COSINE_TOLERANCE for a, b in cosines)


def _along_normal(plane: ImagePlane) -> float:
    rx, ry, rz, cx, cy, cz = plane.orientation
    normal = (ry * cz - rz * cy, rz * cx - rx * cz, rx * cy - ry * cx)
    length = sqrt(sum(v * v for v in normal)) or 1.0
    return float(sum(p * n for p, n in zip(plane.position, normal, strict=True)) / length)
