"""Labelled CT, real or computed: a volume, its lungs and its patterns, and whose they are."""

from dataclasses import dataclass

import numpy as np

from worker.analysis.records import NO_PATTERN, RIGHT_LUNG, LungMask, PatternMap
from worker.phantom.chest_ct import Phantom
from worker.reading.volume import CTVolume
from worker.training.data.cases import Case, around_lungs


@dataclass(frozen=True, eq=False)
class Labelled:
    """One patient with the truth about the lungs, all on the grid of ``volume``.

    ``name`` tells patients apart; it is the data set's own, never a PatientID read from DICOM.
    """

    name: str
    volume: CTVolume
    lungs: LungMask
    patterns: PatternMap

    def as_case(self) -> Case:
        """Cut to the lungs, in the anatomical frame, to train on."""
        volume = self.volume
        lungs, patterns = (volume.to_anatomical(mask.labels) for mask in (self.lungs, self.patterns))
        hu, labels = around_lungs(volume.to_anatomical(volume.hu), LungMask(lungs), PatternMap(patterns))
        return Case(self.name, hu, labels, volume.anatomical_spacing_mm, exposed=True)


def from_phantom(phantom: Phantom) -> Labelled:
    """Return a phantom with its computed truth."""
    return Labelled(f"phantom {phantom.spec.seed}", phantom.volume, phantom.lungs, phantom.patterns)


def from_masks(name: str, volume: CTVolume, lung: np.ndarray, patterns: np.ndarray) -> Labelled:
    """Return a labelled volume from a lung mask without sides; disease is lung, also where the lung mask left it out.

    ``lung`` is bool, ``patterns`` uint8 as in :class:`PatternMap`, both (slices, rows, columns).
    """
    inside = lung | (patterns != NO_PATTERN)
    return Labelled(name, volume, LungMask(np.where(inside, RIGHT_LUNG, 0).astype(np.uint8)), PatternMap(patterns))
