"""Computes volumes, extents and densities from masks, by counting voxels."""

from collections.abc import Iterator, Sequence

import numpy as np

from worker.analysis import densitometry, levels, zones
from worker.analysis.records import (
    WHOLE,
    Assessment,
    Bounds,
    LungMask,
    Measurement,
    PatternMap,
    Quantity,
    Region,
    Side,
    Unit,
)
from worker.analysis.tally import EVERYTHING, REGIONS, SIDES, Tally
from worker.errors import ImplausibleResult
from worker.reading.volume import CTVolume

# No living adult's lungs on CT hold less or more (total capacity in both sexes is 3 to 9 l).
PLAUSIBLE_LUNG_ML = (500.0, 10_000.0)
PLAUSIBLE_EXTENT_PCT = 95.0
# Above these values a flag says that the lung mask may be of no use: a person looks before anything is sent.
DOUBTFUL = {"outline_disagreement": 25.0, "much_recovered": 50.0, "dense_at_ribs": 0.0}


def assess(volume: CTVolume, lungs: LungMask, patterns: PatternMap) -> Assessment:
    """Measure a series. A lung that is absent gets no numbers rather than zeros."""
    tally = Tally(volume, lungs, patterns)
    doubts = tuple(densitometry.flags(tally))
    measurements = (
        *_measurements(tally, densitometry.with_doubt_of_breath(patterns.bounds, doubts)),
        *zones.measure(tally),
        *densitometry.measure(tally),
        *levels.measure(tally, lungs.carina),
    )
    return Assessment(measurements, lungs.flags + patterns.flags + doubts)


def _measurements(tally: Tally, bounds: Sequence[Bounds]) -> Iterator[Measurement]:
    for side in SIDES:
        lung = tally.count(side, EVERYTHING)
        if lung == 0:
            continue
        yield Measurement(Region.LUNG, side, WHOLE, Quantity.VOLUME, lung * tally.voxel_ml, Unit.MILLILITRE)
        yield from _attenuation(tally, Region.LUNG, side, EVERYTHING)
        for region, labels in REGIONS.items():
            count = tally.count(side, labels)
            yield Measurement(region, side, WHOLE, Quantity.VOLUME, count * tally.voxel_ml, Unit.MILLILITRE)
            yield Measurement(region, side, WHOLE, Quantity.EXTENT, 100 * count / lung, Unit.PERCENT)
            if side is Side.BOTH:
                yield from _attenuation(tally, region, side, labels)
    for one in bounds:
        for quantity, share in ((Quantity.EXTENT_LOWER, one.lower), (Quantity.EXTENT_UPPER, one.upper)):
            yield Measurement(one.region, Side.BOTH, WHOLE, quantity, 100 * share, Unit.PERCENT)


def _attenuation(tally: Tally, region: Region, side: Side, labels: tuple[int, ...]) -> Iterator[Measurement]:
    count = tally.count(side, labels)
    if count == 0:
        return
    mean = tally.total(tally.sums, side, labels) / count
    variance = max(tally.total(tally.squares, side, labels) / count - mean**2, 0.0)
    yield Measurement(region, side, WHOLE, Quantity.MEAN_ATTENUATION, mean, Unit.HOUNSFIELD)
    yield Measurement(region, side, WHOLE, Quantity.ATTENUATION_SD, float(np.sqrt(variance)), Unit.HOUNSFIELD)


def implausible(assessment: Assessment) -> ImplausibleResult | None:
    """Return what :func:`require_plausible` raises, None where it raises nothing."""
    try:
        require_plausible(assessment)
    except ImplausibleResult as doubt:
        return doubt
    return None


def require_plausible(assessment: Assessment) -> None:
    """Raise ImplausibleResult where the numbers are not those of a chest.

    Codes ``implausible_lung_volume`` (outside 500–10,000 ml), ``implausible_extent`` (over 95 % of the lung) and
    ``doubtful_lung_mask`` (a quality flag says that the lung mask may be wrong at large).
    """
    volume_ml = assessment.value(Region.LUNG, Quantity.VOLUME)
    extent = assessment.value(Region.TOTAL, Quantity.EXTENT)
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
    doubts = {flag.code: flag.value for flag in assessment.flags if (flag.value or 0) > DOUBTFUL.get(flag.code, np.inf)}
    if doubts:
        raise ImplausibleResult(
            f"the lung mask may be wrong ({', '.join(doubts)}); look at the overlay before you release the numbers",
            code="doubtful_lung_mask",
            detail=dict(doubts),
        )
