"""A measured number as an SR tells it: coded name, unit, method or derivation, rounded as people read it."""

from collections.abc import Iterator

from highdicom import sr
from highdicom.sr.coding import CodedConcept

from worker.analysis.records import WHOLE, Assessment, Quantity, Region, Side
from worker.results import codes

# Volumes from here on are told in whole millilitres.
WHOLE_ML = 10
# Of each its name, unit, derivation and digits; in the order in which they are told.
PERCENT = (codes.PERCENT, None, 1)
NAMED: dict[Quantity, tuple[CodedConcept, CodedConcept, CodedConcept | None, int]] = {
    Quantity.EXTENT: (codes.EXTENT, *PERCENT),
    Quantity.EXTENT_LOWER: (codes.EXTENT_LOWER, *PERCENT),
    Quantity.EXTENT_UPPER: (codes.EXTENT_UPPER, *PERCENT),
    Quantity.FIVE_LEVEL_EXTENT: (codes.FIVE_LEVEL_EXTENT, *PERCENT),
    Quantity.VOLUME: (codes.VOLUME, codes.MILLILITRE, None, 0),
    Quantity.MEAN_ATTENUATION: (codes.ATTENUATION, codes.HOUNSFIELD, codes.MEAN, 0),
    Quantity.ATTENUATION_SD: (codes.ATTENUATION, codes.HOUNSFIELD, codes.STANDARD_DEVIATION, 0),
    Quantity.SKEWNESS: (codes.ATTENUATION, codes.NO_UNITS, codes.SKEWNESS, 2),
    Quantity.KURTOSIS: (codes.ATTENUATION, codes.NO_UNITS, codes.KURTOSIS, 2),
    Quantity.HIGH_ATTENUATION: (codes.HIGH_ATTENUATION, *PERCENT),
}
ORDER = tuple(NAMED)


def of(assessment: Assessment, region: Region, side: Side, zone: str = WHOLE) -> Iterator[sr.Measurement]:
    """Yield what was measured of a region in one place, in the order in which it is told."""
    own = [m for m in assessment.measurements if (m.region, m.side, m.zone) == (region, side, zone)]
    for m in sorted(own, key=lambda one: ORDER.index(one.quantity)):
        yield measurement(m.quantity, m.value)


def measurement(quantity: Quantity, value: float) -> sr.Measurement:
    """Return a number as it is told. The database has it in full."""
    name, unit, derivation, digits = NAMED[quantity]
    is_volume = quantity is Quantity.VOLUME
    method = codes.SEGMENTED_VOXEL_METHOD if is_volume else None
    made = sr.Measurement(name, value, unit, derivation=derivation, method=method)
    return said(made, 1 if is_volume and value < WHOLE_ML else digits)


def said(made: sr.Measurement, digits: int) -> sr.Measurement:
    """Round the number of a measurement as text: no trailing zeros, no minus before a zero."""
    (measured,) = made[0].MeasuredValueSequence
    measured.NumericValue = f"{round(float(measured.NumericValue), digits) + 0.0:.{digits}f}"
    if "FloatingPointValue" in measured:
        del measured.FloatingPointValue
    return made
