"""Densitometry: what the histogram of the lung's attenuation says, whatever pattern it is.

High attenuation areas, −600 to −250 HU, and the shape of the histogram are associated with lung function and survival
in systemic sclerosis (10.1513/AnnalsATS.201910-741OC). Skewness and kurtosis are those of the Image Biomarker
Standardisation Initiative (10.1148/radiol.2020191145: KE2A, and IPH6, which is 0 for a normal distribution).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from worker.analysis.records import NO_PATTERN, WHOLE, Bounds, Measurement, Quantity, Region, Side, Unit
from worker.analysis.tally import HU_VALUES, SIDES, Counts, Tally
from worker.reading.quality import QualityFlag
from worker.reading.volume import HU_FLOOR

HIGH_ATTENUATION_HU = (-600, -250)
# Above this mean, vessels included, lung without disease was not full of air. Of fourteen real chests seven have −880
# to −787 HU and seven −745 to −676; of six of these, without such disease, 4 to 14 % was called diseased, of the
# others without any .4 to 5 % (docs/evaluation/real-ct.md).
FULL_OF_AIR_HU = -765
# By so much of the lung the lower bounds of these six lay above nothing at all, at most.
PASSES_FOR_HAZE = 0.07
HAZY = (Region.TOTAL, Region.GROUND_GLASS)
HU = np.arange(HU_VALUES, dtype=np.float64) + HU_FLOOR


def measure(tally: Tally) -> Iterator[Measurement]:
    """Yield high attenuation areas, skewness and kurtosis of each lung and of both; one density alone has no shape."""
    for side in SIDES:
        counts = tally.densities(side)
        if counts.any():
            share = high_attenuation_pct(counts)
            yield Measurement(Region.LUNG, side, WHOLE, Quantity.HIGH_ATTENUATION, share, Unit.PERCENT)
        if np.count_nonzero(counts) > 1:
            for quantity, value in zip((Quantity.SKEWNESS, Quantity.KURTOSIS), shape(counts), strict=True):
                yield Measurement(Region.LUNG, side, WHOLE, quantity, value, Unit.ONE)


def flags(tally: Tally) -> Iterator[QualityFlag]:
    """Yield a flag where the lung without disease is too dense for a full breath."""
    voxels = tally.count(Side.BOTH, (NO_PATTERN,))
    mean_hu = tally.total(tally.sums, Side.BOTH, (NO_PATTERN,)) / voxels if voxels else HU_FLOOR
    if mean_hu > FULL_OF_AIR_HU:
        text = "no full breath: dependent lung and crowded vessels pass for ground glass; HU of lung without disease"
        yield QualityFlag("shallow_breath", text, round(mean_hu, 1))


def with_doubt_of_breath(bounds: Sequence[Bounds], doubts: Sequence[QualityFlag]) -> tuple[Bounds, ...]:
    """Return bounds whose lower ends allow for lung that passes for ground glass, where a flag says that it may."""
    if not doubts:
        return tuple(bounds)
    return tuple(
        replace(one, lower=max(0.0, one.lower - PASSES_FOR_HAZE)) if one.region in HAZY else one for one in bounds
    )


def high_attenuation_pct(counts: Counts) -> float:
    """Return the share of voxels, in percent, of −600 to −250 HU, both included."""
    low, high = HIGH_ATTENUATION_HU
    return float(100 * counts[low - HU_FLOOR : high - HU_FLOOR + 1].sum() / counts.sum())


def shape(counts: Counts) -> tuple[float, float]:
    """Return skewness and excess kurtosis of a histogram over HU that holds more than one value."""
    share = counts / counts.sum()
    offset = HU - float(share @ HU)
    second, third, fourth = (float(share @ offset**power) for power in (2, 3, 4))
    return third / second**1.5, fourth / second**2 - 3
