"""Thresholds: the lesion's so that its extent has no bias, its patterns' where they fit; and their bounds."""

from collections.abc import Iterable, Sequence
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
# Dice this near to each other say that two thresholds fit alike.
FLAT_DICE = 0.005
REGIONS = network.LUNG
# The bounds hold this share of the true extents; spreads in logits and margins in shares of lung that are tried for it.
HELD = 0.95
SPREADS = np.arange(0.0, 4.51, 0.1)
MARGINS = (0.002, 0.005, 0.01, 0.015, 0.02, 0.03)


def calibrated(patients: Iterable[Labelled], model: PatternModel) -> PatternModel:
    """Return the model with thresholds that suit the patients, and its bounds.

    The total has the threshold at which its mean error of extent is least. A pattern is found in few patients, and one
    of them decides what its error is on average: that decides only among thresholds that fit alike, by their mean Dice.

    Of the spreads and margins with which the bounds hold the true extent of 95 of 100 patients, those are taken whose
    bounds lie nearest to each other on average.
    """
    rows = [_Row.of(patient, model) for patient in patients]
    chosen = []
    for region in range(REGIONS):
        # What is called reticulation in slices that hide its lines says nothing of where they are seen.
        judged = [row for row in rows if row.shows_lines or region != network.RETICULATION] or rows
        shares, truth = (np.array(values) for values in zip(*(row.of_region(region) for row in judged), strict=True))
        threshold = _threshold(region, judged)
        chosen.append((threshold, *bounding(shares, truth, threshold)))
    thresholds, spreads, margins = zip(*chosen, strict=True)
    return replace(model, thresholds=thresholds, spreads=spreads, margins=margins)


@dataclass(frozen=True, eq=False)
class _Row:
    """One patient: shares of lung above each threshold, and rightly so (regions, thresholds); the true (regions)."""

    found: NDArray[np.float64]
    right: NDArray[np.float64]
    true: NDArray[np.float64]
    shows_lines: bool

    @classmethod
    def of(cls, patient: Labelled, model: PatternModel) -> "_Row":
        labels, lung = patient.patterns.labels, patient.lungs.labels > 0
        kinds = np.stack([labels > 0, labels == RETICULATION, labels == CONSOLIDATION])
        true = np.array([kind[lung].mean() for kind in kinds])
        return cls(*_shares_above(patient, kinds, model), true, patterns.shows_lines(patient.volume))

    def of_region(self, region: int) -> tuple[NDArray[np.float64], float]:
        return self.found[region], float(self.true[region])

    def dice(self, region: int) -> NDArray[np.float64]:
        """Return the Dice of a region at each threshold."""
        dice: NDArray[np.float64] = 2 * self.right[region] / (self.found[region] + self.true[region])
        return dice


def _threshold(region: int, rows: Sequence[_Row]) -> float:
    """Return the threshold of a region; where nobody has a pattern, its bias alone decides."""
    bias = np.mean([row.found[region] - row.true[region] for row in rows], axis=0)
    having = [row.dice(region) for row in rows if row.true[region] > 0]
    if not having or region == network.LESION:
        return fitting(bias)
    return fitting(bias, np.mean(having, axis=0))


def fitting(bias: NDArray[np.float64], dice: NDArray[np.float64] | None = None) -> float:
    """Return the usable threshold k/100 with the least bias, among those whose Dice is hardly below the highest.

    ``bias`` and ``dice`` are means over patients at each threshold (thresholds,); without Dice the bias decides alone.
    """
    candidates = np.arange(BINS) / BINS
    usable = (candidates >= USABLE[0]) & (candidates <= USABLE[1])
    if dice is not None:
        usable &= dice >= dice[usable].max() - FLAT_DICE
    return float(candidates[usable][np.argmin(np.abs(bias[usable]))])


def bounding(shares: NDArray[np.float64], truth: NDArray[np.float64], threshold: float) -> tuple[float, float]:
    """Return the spread and margin with the narrowest bounds that hold enough of the true shares.

    Where none does, the widest of all.
    """
    holding = [
        (width, float(spread), margin)
        for margin in MARGINS
        for spread in SPREADS
        for share, width in [held(shares, truth, bounds.limits(threshold, float(spread)), margin)]
        if share >= HELD
    ]
    _, spread, margin = min(holding, default=(0.0, float(SPREADS[-1]), MARGINS[-1]))
    return round(spread, 2), margin


def held(
    shares: NDArray[np.float64], truth: NDArray[np.float64], limits: tuple[float, float], margin: float
) -> tuple[float, float]:
    """Return how many of the true shares the bounds hold, as a share, and how wide they are on average."""
    above, below = (shares[:, min(int(limit * BINS), BINS - 1)] for limit in limits)
    lower, upper = np.clip(above - margin, 0, 1), np.clip(below + margin, 0, 1)
    return float(np.mean((lower <= truth) & (truth <= upper))), float(np.mean(upper - lower))


def _shares_above(
    patient: Labelled, kinds: NDArray[np.bool_], model: PatternModel
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return, for each region and threshold k/100, the share of lung whose probability lies above it, and truly so.

    ``kinds`` are the true regions, (regions, slices, rows, columns).
    """
    inside = patient.volume.to_anatomical(patient.lungs.labels) > 0
    true = [patient.volume.to_anatomical(kind) for kind in kinds]
    counts = np.zeros((2, REGIONS, BINS))
    for part in patterns.probabilities(patient.volume, patient.lungs, model):
        place = part.index, part.rows, part.columns
        lung = inside[place]
        for region in range(REGIONS):
            values = np.clip((part.values[region][lung] * BINS).astype(int), 0, BINS - 1)
            counts[0, region] += np.bincount(values, minlength=BINS)
            counts[1, region] += np.bincount(values[true[region][place][lung]], minlength=BINS)
    found, right = counts[:, :, ::-1].cumsum(axis=2)[:, :, ::-1] / max(int(inside.sum()), 1)
    return found, right
