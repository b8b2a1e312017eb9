"""Volumes, extents and densities from masks: counting, and nothing else."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from worker.analysis.records import (
    GROUND_GLASS,
    LEFT_LUNG,
    RETICULATION,
    RIGHT_LUNG,
    Assessment,
    LungMask,
    Measurement,
    PatternMap,
)
from worker.errors import ImplausibleResult
from worker.reading.volume import CTVolume

SIDES = {"right": (RIGHT_LUNG,), "left": (LEFT_LUNG,), "both": (RIGHT_LUNG, LEFT_LUNG)}
REGIONS = {"total": (GROUND_GLASS, RETICULATION), "ggo": (GROUND_GLASS,), "reticulation": (RETICULATION,)}
ML, PERCENT, HOUNSFIELD = "ml", "%", "[hnsf'U]"
# No living adult's lungs on CT hold less or more (total capacity in both sexes is 3 to 9 l).
PLAUSIBLE_LUNG_ML = (500.0, 10_000.0)
PLAUSIBLE_EXTENT_PCT = 95.0
Counts = NDArray[np.int64]


def assess(volume: CTVolume, lungs: LungMask, patterns: PatternMap) -> Assessment:
    """Measure.

    Every extent has two forms: by volume, and as the source paper has it, Σ lesion area / Σ lung area over all slices.
    They agree on a regular grid. A lung that is not there gets no numbers rather than zeros.
    """
    tally = _Tally(volume, lungs, patterns)
    return Assessment(tuple(_measurements(tally)), lungs.flags + patterns.flags)


class _Tally:
    """Counts, sums and sums of squares of HU by (slice, lung label, pattern label), in one pass over the slices."""

    def __init__(self, volume: CTVolume, lungs: LungMask, patterns: PatternMap) -> None:
        shape = (volume.hu.shape[0], 3, 3)
        self.voxels, self.sums, self.squares = (np.zeros(shape, np.int64) for _ in range(3))
        self.voxel_ml = volume.voxel_ml
        _, row_mm, column_mm = volume.spacing_mm
        self.pixel_mm2 = row_mm * column_mm
        for index, (hu, lung, pattern) in enumerate(zip(volume.hu, lungs.labels, patterns.labels, strict=True)):
            inside = np.flatnonzero(lung)
            kind = lung.ravel()[inside] * np.intp(3) + pattern.ravel()[inside]
            values = hu.ravel()[inside].astype(np.float64)
            for table, weights in ((self.voxels, None), (self.sums, values), (self.squares, values**2)):
                table[index] = np.rint(np.bincount(kind, weights, minlength=9)).reshape(3, 3)

    def total(self, table: Counts, side: str, patterns: tuple[int, ...]) -> int:
        """Return the sum of a table over slices, for one side and some patterns."""
        return int(table[:, list(SIDES[side])][:, :, list(patterns)].sum())


def _measurements(tally: _Tally) -> Iterator[Measurement]:
    everything = (0, GROUND_GLASS, RETICULATION)
    for side in SIDES:
        lung = tally.total(tally.voxels, side, everything)
        if lung == 0:
            continue
        yield Measurement("lung", side, "whole", "volume", lung * tally.voxel_ml, ML)
        yield from _attenuation(tally, "lung", side, everything)
        for region, labels in REGIONS.items():
            count = tally.total(tally.voxels, side, labels)
            yield Measurement(region, side, "whole", "volume", count * tally.voxel_ml, ML)
            yield Measurement(region, side, "whole", "extent", 100 * count / lung, PERCENT)
            yield Measurement(region, side, "whole", "area_extent", _area_extent(tally, side, labels), PERCENT)
            if side == "both":
                yield from _attenuation(tally, region, side, labels)


def _area_extent(tally: _Tally, side: str, labels: tuple[int, ...]) -> float:
    """Σ lesion area over all slices divided by Σ lung area, in percent."""
    by_slice = tally.voxels[:, list(SIDES[side])].sum(axis=1) * tally.pixel_mm2
    return float(100 * by_slice[:, list(labels)].sum() / by_slice.sum())


def _attenuation(tally: _Tally, region: str, side: str, labels: tuple[int, ...]) -> Iterator[Measurement]:
    count = tally.total(tally.voxels, side, labels)
    if count == 0:
        return
    mean = tally.total(tally.sums, side, labels) / count
    variance = max(tally.total(tally.squares, side, labels) / count - mean**2, 0.0)
    yield Measurement(region, side, "whole", "mean_attenuation", mean, HOUNSFIELD)
    yield Measurement(region, side, "whole", "attenuation_sd", float(np.sqrt(variance)), HOUNSFIELD)


def require_plausible(assessment: Assessment) -> None:
    """Raise ImplausibleResult where the numbers are not those of a chest.

    Codes ``implausible_lung_volume`` (outside 500–10,000 ml) and ``implausible_extent`` (over 95 % of the lung).
    """
    volume_ml, extent = assessment.value("lung", "volume"), assessment.value("total", "extent")
    low, high = PLAUSIBLE_LUNG_ML
    if not low <= volume_ml <= high:
        raise ImplausibleResult(
            f"the lungs measure {volume_ml:.0f} ml; look at the lung mask before you use or release the numbers",
            code="implausible_lung_volume",
            detail={"lung_volume_ml": round(volume_ml, 1), "low_ml": low, "high_ml": high},
        )
    if extent > PLAUSIBLE_EXTENT_PCT:
        raise ImplausibleResult(
            f"{extent:.0f} % of the lung is called diseased; look at the overlay before you use or release the numbers",
            code="implausible_extent",
            detail={"total_extent_pct": round(extent, 1), "high_pct": PLAUSIBLE_EXTENT_PCT},
        )
