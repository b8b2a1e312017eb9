"""Thresholds of the lesion and of its patterns, chosen so that extents come out without bias."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from worker.analysis import patterns
from worker.analysis.patterns import network
from worker.analysis.patterns.model import PatternModel
from worker.analysis.records import CONSOLIDATION, RETICULATION
from worker.training.data.labelled import Labelled

BINS = 100
USABLE = (0.1, 0.9)
REGIONS = network.LUNG


def thresholds(patients: Iterable[Labelled], model: PatternModel) -> tuple[float, float, float]:
    """Return the thresholds of lesion, reticulation and consolidation at which the mean error of extent is least."""
    found, true = [], []
    for patient in patients:
        found.append(_share_above(patient, model))
        labels, lung = patient.patterns.labels, patient.lungs.labels > 0
        kinds = (labels > 0, labels == RETICULATION, labels == CONSOLIDATION)
        true.append([kind[lung].mean() for kind in kinds])
    # (patients, regions, thresholds) against (patients, regions, 1)
    bias = np.abs((np.array(found) - np.array(true)[:, :, None]).mean(axis=0))
    candidates = np.arange(BINS) / BINS
    usable = (candidates >= USABLE[0]) & (candidates <= USABLE[1])
    lesion, reticulation, consolidation = (float(candidates[usable][np.argmin(one[usable])]) for one in bias)
    return lesion, reticulation, consolidation


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
