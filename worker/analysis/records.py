"""The frozen records that the analysis stages give to each other, on the grid of the CT volume."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from worker.reading.quality import QualityFlag

OUTSIDE, RIGHT_LUNG, LEFT_LUNG = 0, 1, 2
NO_PATTERN, GROUND_GLASS, RETICULATION, CONSOLIDATION = 0, 1, 2, 3
WHOLE = "whole"


@dataclass(frozen=True, eq=False)
class LungMask:
    """The lungs without trachea and main bronchi.

    ``labels`` is uint8 (slices, rows, columns) on the volume's grid: 0 outside, 1 right lung, 2 left lung.
    ``carina`` is the slice in which the trachea parts; None where that is not seen.
    """

    labels: NDArray[np.uint8]
    flags: tuple[QualityFlag, ...] = ()
    carina: int | None = None


@dataclass(frozen=True, eq=False)
class PatternMap:
    """Disease inside the lungs as exclusive regions; the lesion is their union.

    ``labels`` is uint8 (slices, rows, columns) on the volume's grid: 0 none, 1 ground-glass opacity, 2 reticulation,
    3 consolidation. ``bounds`` say between which extents the truth lies.
    """

    labels: NDArray[np.uint8]
    flags: tuple[QualityFlag, ...] = ()
    bounds: tuple["Bounds", ...] = ()


class Region(StrEnum):
    """The region that a number is about; ``TOTAL`` is ground glass, reticulation and consolidation."""

    LUNG = "lung"
    TOTAL = "total"
    GROUND_GLASS = "ggo"
    RETICULATION = "reticulation"
    CONSOLIDATION = "consolidation"


@dataclass(frozen=True)
class Bounds:
    """Between which shares of both lungs, 0..1, a region lies in 95 of 100 phantoms."""

    region: Region
    lower: float
    upper: float


class Side(StrEnum):
    """Which lung."""

    RIGHT = "right"
    LEFT = "left"
    BOTH = "both"


class Zone(StrEnum):
    """A third of a lung by height; not a lobe."""

    UPPER = "upper"
    MIDDLE = "middle"
    LOWER = "lower"


class Quantity(StrEnum):
    """What was measured.

    ``EXTENT`` is the share of the lung's volume. It is the ratio of areas of the source paper as well, Σ lesion area /
    Σ lung area over all slices: the slices of a volume have one pixel size and one step. ``EXTENT_LOWER`` and
    ``EXTENT_UPPER`` hold the true extent in 95 of 100 phantoms that the model was not trained on. ``HIGH_ATTENUATION``
    is the share of the lung between −600 and −250 HU, ``LEVEL_EXTENT`` that of diseased lung in one slice, approximate.
    """

    VOLUME = "volume"
    EXTENT = "extent"
    EXTENT_LOWER = "extent_lower"
    EXTENT_UPPER = "extent_upper"
    MEAN_ATTENUATION = "mean_attenuation"
    ATTENUATION_SD = "attenuation_sd"
    SKEWNESS = "skewness"
    KURTOSIS = "kurtosis"
    HIGH_ATTENUATION = "high_attenuation"
    LEVEL_EXTENT = "level_extent"
    FIVE_LEVEL_EXTENT = "five_level_extent"


class Unit(StrEnum):
    """Units in UCUM."""

    MILLILITRE = "ml"
    PERCENT = "%"
    HOUNSFIELD = "[hnsf'U]"
    ONE = "1"


@dataclass(frozen=True)
class Measurement:
    """One number with its place; ``zone`` is ``whole``, a :class:`Zone`, or the name of a level."""

    region: Region
    side: Side
    zone: str
    quantity: Quantity
    value: float
    unit: Unit


@dataclass(frozen=True)
class Assessment:
    """All that was measured of one series, and the quality flags that belong to it."""

    measurements: tuple[Measurement, ...]
    flags: tuple[QualityFlag, ...] = ()

    def value(self, region: Region, quantity: Quantity, side: Side = Side.BOTH, zone: str = WHOLE) -> float:
        """Return one number.

        Raises
        ------
        KeyError
            Nothing was measured under that name.
        """
        for m in self.measurements:
            if (m.region, m.quantity, m.side, m.zone) == (region, quantity, side, zone):
                return m.value
        raise KeyError((region, quantity, side, zone))
