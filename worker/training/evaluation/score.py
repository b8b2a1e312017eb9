"""One patient scored: what was found against what is true."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.analysis import lungs, patterns
from worker.analysis.patterns.model import PatternModel
from worker.analysis.records import CONSOLIDATION, GROUND_GLASS, RETICULATION, LungMask, PatternMap
from worker.training.data.labelled import Labelled
from worker.training.evaluation.threshold import thresholded

REGIONS = {
    "total": (GROUND_GLASS, RETICULATION, CONSOLIDATION),
    "ggo": (GROUND_GLASS,),
    "reticulation": (RETICULATION,),
    "consolidation": (CONSOLIDATION,),
}
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Region:
    """One region of one patient.

    ``dice`` is 0..1, None where there is nothing and nothing was found; ``true_pct`` and ``found_pct`` are extents
    in percent of the true and
    of the lung mask. ``dice_in_true_lung`` is what the network alone reaches, given the true lungs. ``bounds_pct`` are
    those that the model gives for the extent.
    """

    dice: float | None
    dice_in_true_lung: float | None
    true_pct: float
    found_pct: float
    bounds_pct: tuple[float, float] | None = None

    @property
    def is_held(self) -> bool | None:
        """Whether the true extent lies within its bounds; None without bounds."""
        return None if self.bounds_pct is None else self.bounds_pct[0] <= self.true_pct <= self.bounds_pct[1]

    @property
    def width_points(self) -> float | None:
        """How far apart the bounds lie; None without bounds."""
        return None if self.bounds_pct is None else self.bounds_pct[1] - self.bounds_pct[0]


@dataclass(frozen=True)
class LungMaskScore:
    """Dice of the lung mask, and of what a threshold alone calls lung."""

    dice: float | None
    dice_threshold: float | None


@dataclass(frozen=True)
class PatientScore:
    """One patient: its regions by name, and the lung mask."""

    patient: str
    regions: dict[str, Region]
    lung_mask: LungMaskScore
    flags: tuple[str, ...]

    @property
    def healthy(self) -> bool:
        """Whether there truly is no disease."""
        return self.regions["total"].true_pct == 0


def patient(labelled: Labelled, model: PatternModel) -> PatientScore:
    """Segment lungs and patterns of one patient and compare. Raises InputRejected where no lungs are found."""
    lung_mask = lungs.segment(labelled.volume)
    true_lung, found_lung = labelled.lungs.labels > 0, lung_mask.labels > 0
    # The network looks once, at both masks together.
    both = LungMask(np.where(true_lung | found_lung, 1, 0).astype(np.uint8))
    found = patterns.segment(labelled.volume, both, model)
    regions = {name: _region(labelled.patterns, found, (true_lung, found_lung), name) for name in REGIONS}
    shape = LungMaskScore(dice(found_lung, true_lung), dice(thresholded(labelled.volume), true_lung))
    return PatientScore(labelled.name, regions, shape, tuple(flag.code for flag in lung_mask.flags))


def _region(true: PatternMap, found: PatternMap, masks: tuple[Mask, Mask], name: str) -> Region:
    true_lung, found_lung = masks
    labels = REGIONS[name]
    truly, seen = np.isin(true.labels, labels), np.isin(found.labels, labels)
    return Region(
        dice=dice(seen & found_lung, truly),
        dice_in_true_lung=dice(seen & true_lung, truly),
        true_pct=percent(truly, true_lung),
        found_pct=percent(seen & found_lung, found_lung),
        bounds_pct=_bounds_pct(found, name),
    )


def _bounds_pct(found: PatternMap, name: str) -> tuple[float, float] | None:
    own = [bounds for bounds in found.bounds if bounds.region == name]
    return (100 * own[0].lower, 100 * own[0].upper) if own else None


def percent(part: Mask, whole: Mask) -> float:
    """Return how much a part is of the whole, in percent."""
    return 100 * int(np.count_nonzero(part)) / max(int(np.count_nonzero(whole)), 1)


def dice(found: Mask, true: Mask) -> float | None:
    """Return the Dice coefficient, 0..1; None where there is nothing and nothing was found."""
    total = int(np.count_nonzero(found)) + int(np.count_nonzero(true))
    return 2 * int(np.count_nonzero(found & true)) / total if total else None
