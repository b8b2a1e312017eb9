"""The lung mask of lungs full of dense disease: what a threshold drops, and what is found again."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from worker.analysis import lungs
from worker.phantom.anatomy import CHEST_HEIGHT_MM
from worker.phantom.chest_ct import PhantomSpec, render
from worker.training.evaluation import score
from worker.training.evaluation.threshold import thresholded

SLICES, FIELD_MM = 110, 360.0
# Share of the lung that is diseased, in percent, and of that the share that is nearly solid.
EXTENTS_PCT = (0.0, 20.0, 40.0, 60.0, 70.0)
DENSE_SHARE, DENSE_HU = 0.86, -250.0


@dataclass(frozen=True)
class DenseLungRow:
    """One lung: how much of it is nearly solid, in percent, and the Dice of both masks."""

    dense_pct: float
    dice: float
    dice_threshold: float
    lesion_missed_pct: float


def run(first_seed: int, report: Callable[[str, int, int], None], side: int = 512) -> list[DenseLungRow]:
    """Segment the lungs of phantoms with more and more dense disease."""
    rows = []
    for number, extent_pct in enumerate(EXTENTS_PCT):
        step_mm = FIELD_MM / side
        spacing_mm = (CHEST_HEIGHT_MM / SLICES, step_mm, step_mm)
        spec = PhantomSpec(
            first_seed + number, (SLICES, side, side), spacing_mm, extent_pct, 0.0, DENSE_SHARE, solid_hu=DENSE_HU
        )
        rows.append(_row(spec))
        report("segmenting dense lungs", number + 1, len(EXTENTS_PCT))
    return rows


def _row(spec: PhantomSpec) -> DenseLungRow:
    phantom = render(spec)
    true, lesion = phantom.lungs.labels > 0, phantom.patterns.labels > 0
    found = lungs.segment(phantom.volume).labels > 0
    missed = int(np.count_nonzero(lesion & ~found)) / max(int(np.count_nonzero(lesion)), 1)
    return DenseLungRow(
        dense_pct=round(spec.extent_pct * DENSE_SHARE, 1),
        dice=round(score.dice(found, true) or 0.0, 4),
        dice_threshold=round(score.dice(thresholded(phantom.volume), true) or 0.0, 4),
        lesion_missed_pct=round(100 * missed, 1),
    )
