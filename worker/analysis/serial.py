"""Compares two exams of one patient: the change in points of extent, how sure it is, and what speaks against comparing.

A change of 3.4 to 6.4 % is said to matter (10.1183/13993003.01384-2018): less than :data:`THRESHOLD_POINTS` is called
no change. The interval of a difference comes from the bounds of both extents (Zou and Donner, 10.1002/sim.3095).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import sqrt

from worker.analysis.records import Region
from worker.reading.exam import Exam, Patient

THRESHOLD_POINTS = 5.0
# Beyond these a difference of the scan may pass for one of the lung.
THICKNESS_PCT, VOLUME_PCT = 25.0, 15.0
REGIONS = (Region.TOTAL, Region.GROUND_GLASS, Region.RETICULATION, Region.CONSOLIDATION)
IDENTITY = ("issuer", "name", "birth_date")


@dataclass(frozen=True)
class Extent:
    """An extent in percent of both lungs, between its bounds; None where it has none."""

    value: float
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True)
class Timepoint:
    """One measured exam. ``model_digest`` is that of the weights that measured it."""

    exam: Exam
    series_uid: str
    model_digest: str
    lung_ml: float
    extents: Mapping[Region, Extent]


class Verdict(StrEnum):
    """What a change says: ``uncertain`` where it is large, and its interval holds no change as well."""

    INCREASE = "increase"
    DECREASE = "decrease"
    UNCERTAIN = "uncertain"
    NO_CHANGE = "no change"


@dataclass(frozen=True)
class Change:
    """The change of one extent in points, later minus earlier, and its 95 % interval; None where there is none."""

    region: Region
    points: float
    lower: float | None
    upper: float | None

    def verdict(self, threshold: float = THRESHOLD_POINTS) -> Verdict:
        """Return what the change says; without an interval by its size alone."""
        if abs(self.points) < threshold:
            return Verdict.NO_CHANGE
        if self.lower is not None and self.upper is not None and self.lower <= 0 <= self.upper:
            return Verdict.UNCERTAIN
        return Verdict.INCREASE if self.points > 0 else Verdict.DECREASE


@dataclass(frozen=True)
class Comparison:
    """Two exams of one patient. ``caveats`` name what differs between the scans: stable snake_case."""

    earlier: Timepoint
    later: Timepoint
    changes: tuple[Change, ...]
    caveats: tuple[str, ...]


def conflicts(one: Patient, other: Patient) -> tuple[str, ...]:
    """Return which of issuer, name and birth date differ: then the same ID is not known to be the same patient."""
    return tuple(field for field in IDENTITY if getattr(one, field) != getattr(other, field))


def split(points: Sequence[Timepoint], patient: Patient) -> tuple[tuple[Timepoint, ...], tuple[Timepoint, ...]]:
    """Return the exams of a patient, oldest first, and those of the same ID that contradict who that is."""
    ordered = sorted(points, key=lambda point: (point.exam.acquired, point.series_uid))
    same = [p for p in ordered if p.exam.patient.patient_id == patient.patient_id]
    return (
        tuple(p for p in same if not conflicts(p.exam.patient, patient)),
        tuple(p for p in same if conflicts(p.exam.patient, patient)),
    )


def with_earlier(points: Sequence[Timepoint], later: Timepoint) -> Comparison | None:
    """Compare an exam with the same patient's last one of an earlier day; None where there is none.

    Of several reconstructions of that day the most comparable is taken. Without a patient ID nothing is compared.
    """
    patient = later.exam.patient
    own, _ = split(points, patient)
    before = [
        p for p in own if p.exam.acquired[:8] < later.exam.acquired[:8] and p.exam.study_uid != later.exam.study_uid
    ]
    if not patient.patient_id or not before:
        return None
    last = [p for p in before if p.exam.acquired[:8] == before[-1].exam.acquired[:8]]
    return compare(min(last, key=lambda p: len(caveats(p, later))), later)


def compare(earlier: Timepoint, later: Timepoint) -> Comparison:
    """Return what changed between two exams of one patient."""
    both = [region for region in REGIONS if region in earlier.extents and region in later.extents]
    changes = tuple(_change(region, earlier.extents[region], later.extents[region]) for region in both)
    return Comparison(earlier, later, changes, caveats(earlier, later))


def _change(region: Region, before: Extent, after: Extent) -> Change:
    points = after.value - before.value
    if before.lower is None or before.upper is None or after.lower is None or after.upper is None:
        return Change(region, points, None, None)
    down = sqrt((after.value - after.lower) ** 2 + (before.upper - before.value) ** 2)
    up = sqrt((after.upper - after.value) ** 2 + (before.value - before.lower) ** 2)
    return Change(region, points, points - down, points + up)


def caveats(earlier: Timepoint, later: Timepoint) -> tuple[str, ...]:
    """Return what differs between two scans so that a change may not be one of the lung."""
    before, after = earlier.exam, later.exam
    differs = {
        "other_model": earlier.model_digest != later.model_digest,
        "other_kernel": before.kernel != after.kernel,
        "other_thickness": _apart_pct(before.thickness_mm, after.thickness_mm) > THICKNESS_PCT,
        "other_contrast": before.contrast != after.contrast,
        "other_position": before.position != after.position,
        "other_lung_volume": _apart_pct(earlier.lung_ml, later.lung_ml) > VOLUME_PCT,
    }
    return tuple(name for name, is_so in differs.items() if is_so)


def _apart_pct(before: float, after: float) -> float:
    """Return the difference in percent of what was before."""
    return 100 * abs(after - before) / before if before else 0.0
