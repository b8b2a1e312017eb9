"""Thresholds of the lesion and of its patterns, so that extents have no bias, and how far they move for bounds."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from worker.analysis import patterns
from worker.analysis.patterns import bounds, network
from worker.analysis.patterns.model import PatternModel
from worker.analysis.records import CONSOLIDATION, RETICULATION
from worker.training.data.labelled import Labelled

BINS = 100
# Nearer to 0 or 1 a little more or less certainty moves much, and what phantoms gain real chests lose.
USABLE = (0.3, 0.7)
REGIONS = network.LUNG
# The bounds hold this share of the true extents; spreads in logits that are tried for it.
HELD = 0.95
SPREADS = np.arange(0.0, 4.51, 0.1)


def calibrated(patients: Iterable[Labelled], model: PatternModel) -> PatternModel:
    """Return the model with thresholds at which the mean error of extent over the patients is least, and spreads.

    A spread is the least with which the bounds hold the true extent of 95 of 100 patients.
    """
    rows = [_Row.of(patient, model) for patient in patients]
    chosen = []
    for region in range(REGIONS):
        # What is called reticulation in slices that hide its lines says nothing of where they are seen.
        judged = [row for row in rows if row.shows_lines or region != network.RETICULATION] or rows
        shares, truth = (np.array(values) for values in zip(*(row.of_region(region) for row in judged), strict=True))
        threshold = _threshold(shares, truth)
        chosen.append((threshold, _spread(shares, truth, threshold)))
    thresholds, spreads = zip(*chosen, strict=True)
    return replace(model, thresholds=thresholds, spreads=spreads)


@dataclass(frozen=True, eq=False)
class _Row:
    """One patient: shares of lung above each threshold (regions, thresholds), the true ones (regions)."""

    found: NDArray[np.float64]
    true: NDArray[np.float64]
    shows_lines: bool

    @classmethod
    def of(cls, patient: Labelled, model: PatternModel) -> "_Row":
        labels, lung = patient.patterns.labels, patient.lungs.labels > 0
        kinds = (labels > 0, labels == RETICULATION, labels == CONSOLIDATION)
        true = np.array([kind[lung].mean() for kind in kinds])
        return cls(_share_above(patient, model), true, patterns.shows_lines(patient.volume))

    def of_region(self, region: int) -> tuple[NDArray[np.float64], float]:
        return self.found[region], float(self.true[region])


def _threshold(shares: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Return the usable threshold at which the mean error of the shares (patients, thresholds) is least."""
    bias = np.abs((shares - truth[:, None]).mean(axis=0))
    candidates = np.arange(BINS) / BINS
    usable = (candidates >= USABLE[0]) & (candidates <= USABLE[1])
    return float(candidates[usable][np.argmin(bias[usable])])


def _spread(shares: NDArray[np.float64], truth: NDArray[np.float64], threshold: float) -> float:
    """Return the least spread, in logits, whose bounds hold enough of the true shares; the widest where none does."""
    for spread in SPREADS:
        above, below = (
            shares[:, min(int(limit * BINS), BINS - 1)] for limit in bounds.limits(threshold, float(spread))
        )
        held = (above - bounds.MASK_SHARE <= truth) & (truth <= below + bounds.MASK_SHARE)
        if held.mean() >= HELD:
            return round(float(spread), 2)
    return float(SPREADS[-1])


def _share_above(patient: Labelled, model: PatternModel) -> NDArray[np.float64]:
    """Return, for each region and threshold k/100, the share of lung whose probability lies above it."""
    inside = patient.volume.to_anatomical(patient.lungs.labels) > 0
    counts = np.zeros((REGIONS, BINS))
    for part in patterns.probabilities(patient.volume, patient.lungs, model):
        lung = inside[part.index, part.rows, part.columns]
        for region in range(REGIONS):
            values = np.clip((part.values[region][lung] * BINS).astype(int), 0, BINS - 1)
            counts[region] += np.bincount(values, minlength=BINS)
    share: NDArray[np.float64] = counts[:, ::-1].cumsum(axis=1)[:, ::-1] / max(int(inside.sum()), 1)
    return share
