"""Counts what the masks of a series hold, in one pass over its slices; every number is made of these counts."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from worker.analysis.records import (
    CONSOLIDATION,
    GROUND_GLASS,
    LEFT_LUNG,
    NO_PATTERN,
    RETICULATION,
    RIGHT_LUNG,
    LungMask,
    PatternMap,
    Region,
    Side,
)
from worker.reading.volume import HU_FLOOR, CTVolume

SIDES = {Side.RIGHT: (RIGHT_LUNG,), Side.LEFT: (LEFT_LUNG,), Side.BOTH: (RIGHT_LUNG, LEFT_LUNG)}
REGIONS = {
    Region.TOTAL: (GROUND_GLASS, RETICULATION, CONSOLIDATION),
    Region.GROUND_GLASS: (GROUND_GLASS,),
    Region.RETICULATION: (RETICULATION,),
    Region.CONSOLIDATION: (CONSOLIDATION,),
}
EVERYTHING = (NO_PATTERN, GROUND_GLASS, RETICULATION, CONSOLIDATION)
LUNG_LABELS, PATTERN_LABELS = 1 + len(SIDES[Side.BOTH]), len(EVERYTHING)
HU_VALUES = np.iinfo(np.int16).max - HU_FLOOR + 1
Counts = NDArray[np.int64]


class Tally:
    """The counts of one series.

    Attributes
    ----------
    voxels
        (slices, lung labels, pattern labels).
    sums, squares
        HU and HU² summed up, (lung labels, pattern labels).
    density
        Voxels by HU, (lung labels, HU above −1024).
    """

    def __init__(self, volume: CTVolume, lungs: LungMask, patterns: PatternMap) -> None:
        self.voxel_ml = volume.voxel_ml
        self.voxels = np.zeros((len(volume.hu), LUNG_LABELS, PATTERN_LABELS), np.int64)
        self.sums, self.squares = (np.zeros((LUNG_LABELS, PATTERN_LABELS), np.int64) for _ in range(2))
        self.density = np.zeros((LUNG_LABELS, HU_VALUES), np.int64)
        for count, hu, lung, pattern in zip(self.voxels, volume.hu, lungs.labels, patterns.labels, strict=True):
            inside = np.flatnonzero(lung)
            self._add(count, hu.ravel()[inside], lung.ravel()[inside], pattern.ravel()[inside])

    def _add(self, count: Counts, hu: NDArray[np.int16], lung: NDArray[np.uint8], pattern: NDArray[np.uint8]) -> None:
        kind = lung * np.intp(PATTERN_LABELS) + pattern
        values = hu.astype(np.float64)
        for table, weights in ((count, None), (self.sums, values), (self.squares, values**2)):
            counted = np.rint(np.bincount(kind, weights, minlength=table.size)).astype(np.int64)
            np.add(table, counted.reshape(table.shape), out=table)
        steps = hu.astype(np.intp) - HU_FLOOR
        for label in SIDES[Side.BOTH]:
            here = np.bincount(steps[lung == label])
            self.density[label, : len(here)] += here

    def count(self, side: Side, patterns: Sequence[int], slices: slice = slice(None)) -> int:
        """Return the voxels of some patterns in one lung or both, in some slices."""
        return int(self.voxels[slices].sum(axis=0)[np.ix_(SIDES[side], patterns)].sum())

    def total(self, table: Counts, side: Side, patterns: Sequence[int]) -> int:
        """Return the sum of :attr:`sums` or :attr:`squares` for one side and some patterns."""
        return int(table[np.ix_(SIDES[side], patterns)].sum())

    def densities(self, side: Side) -> Counts:
        """Return the voxels of one lung or both by HU above −1024."""
        return np.asarray(self.density[list(SIDES[side])].sum(axis=0))
