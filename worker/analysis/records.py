"""What the analysis stages hand to each other: frozen records on the grid of the CT volume."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.reading.quality import QualityFlag

OUTSIDE, RIGHT_LUNG, LEFT_LUNG = 0, 1, 2
NO_PATTERN, GROUND_GLASS, RETICULATION = 0, 1, 2


@dataclass(frozen=True, eq=False)
class LungMask:
    """The lungs without trachea and main bronchi.

    ``labels`` is uint8 (slices, rows, columns) on the volume's grid: 0 outside, 1 right lung, 2 left lung.
    """

    labels: NDArray[np.uint8]
    flags: tuple[QualityFlag, ...] = ()


@dataclass(frozen=True, eq=False)
class PatternMap:
    """Disease inside the lungs as exclusive regions; the lesion is their union.

    ``labels`` is uint8 (slices, rows, columns) on the volume's grid: 0 none, 1 ground-glass opacity, 2 reticulation.
    """

    labels: NDArray[np.uint8]
    flags: tuple[QualityFlag, ...] = ()


@dataclass(frozen=True)
class Measurement:
    """One number with its place.

    Attributes
    ----------
    region
        ``lung``, ``total`` (ground glass and reticulation together), ``ggo`` or ``reticulation``.
    side
        ``left``, ``right`` or ``both``.
    zone
        ``whole``.
    quantity
        ``volume`` (ml), ``extent`` (% of lung volume), ``area_extent`` (Σ lesion area / Σ lung area over slices, %),
        ``mean_attenuation`` or ``attenuation_sd`` (HU).
    unit
        UCUM: ``ml``, ``%`` or ``[hnsf'U]``.
    """

    region: str
    side: str
    zone: str
    quantity: str
    value: float
    unit: str


@dataclass(frozen=True)
class Assessment:
    """All that was measured of one series, and the quality flags that belong to it."""

    measurements: tuple[Measurement, ...]
    flags: tuple[QualityFlag, ...] = ()

    def value(self, region: str, quantity: str, side: str = "both", zone: str = "whole") -> float:
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
