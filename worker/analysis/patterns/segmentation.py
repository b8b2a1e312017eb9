"""Segments ground glass and reticulation by the U-Net, slice by slice, each with its neighbours."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from worker.analysis.patterns import bounds, network
from worker.analysis.patterns.model import PatternModel
from worker.analysis.records import CONSOLIDATION, GROUND_GLASS, NO_PATTERN, RETICULATION, LungMask, PatternMap
from worker.reading.quality import QualityFlag
from worker.reading.volume import CTVolume

WINDOW_HU = (-1024.0, 200.0)
MARGIN_MM = 12.0
BATCH = 4
# The network's lung output is a second opinion on the lung mask. On phantoms and real chests it differs from a good one
# by less than this.
DISAGREEMENT_PCT = 10.0
# Thicker slices hide the lines of reticulation: see the table "Lines and density" of the evaluation.
LINES_SEEN_TO_MM = 2.0
# Slices further apart have too little in common: the slice itself in their place gives the better regions. Measured on
# phantoms: at 10 mm Dice rises by 0.02 to 0.10, at 5 mm it falls by 0.01.
FARTHEST_NEIGHBOUR_MM = 7.5
# Slices thinner than half of this are looked at together, as many as are no thicker: they are noisier than any that the
# network was trained on, and noise is called lines (the table "Lines and density").
SLAB_MM = 1.5
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class SliceProbability:
    """Probabilities of one slice in the box around the lungs: float (4, rows, columns), as the network's outputs.

    ``index``, ``rows`` and ``columns`` say where the box lies in the anatomical view of the volume.
    """

    index: int
    rows: slice
    columns: slice
    values: NDArray[np.float32]


def segment(volume: CTVolume, lungs: LungMask, model: PatternModel, progress: Progress | None = None) -> PatternMap:
    """Find the patterns inside the lungs.

    Parameters
    ----------
    volume, lungs
        On one grid, (slices, rows, columns).
    progress
        Called with (slices done, slices to do).
    """
    inside = volume.to_anatomical(lungs.labels)
    labels = np.zeros(inside.shape, np.uint8)
    counts = bounds.Counts(model)
    differing = 0
    for found in probabilities(volume, lungs, model, progress):
        place = found.index, found.rows, found.columns
        lung = inside[place] > 0
        labels[place] = classified(found.values, model) * lung
        counts.add(found.values[:, lung])
        differing += int(np.count_nonzero(lung != (found.values[network.LUNG] > 0.5)))
    flags = (*_second_opinion(differing, counts.lung), *_fine_lines(volume))
    return PatternMap(np.ascontiguousarray(volume.from_anatomical(labels)), flags, counts.bounds())


def shows_lines(volume: CTVolume) -> bool:
    """Return whether slices are thin enough to show the lines of reticulation."""
    return _thickness_mm(volume) <= LINES_SEEN_TO_MM


def _thickness_mm(volume: CTVolume) -> float:
    between_mm = 0.0 if volume.is_gapped else volume.anatomical_spacing_mm[0]
    return max(volume.slice_thickness_mm or 0.0, between_mm)


def _fine_lines(volume: CTVolume) -> tuple[QualityFlag, ...]:
    """Flag slices too thick to show lines: reticulation is then called by its haze alone, or not at all."""
    if shows_lines(volume):
        return ()
    text = "slices this thick hide the lines of reticulation: only the total can be trusted; mm"
    return (QualityFlag("reticulation_not_assessable", text, round(_thickness_mm(volume), 2)),)


def classified(values: NDArray[np.float32], model: PatternModel) -> NDArray[np.uint8]:
    """Return the pattern at each place from probabilities (outputs, rows, columns): what is solid shows no lines."""
    lesion, reticulation, consolidation = (values[n] > limit for n, limit in enumerate(model.thresholds))
    kinds = [~lesion, consolidation, reticulation]
    labels = np.select(kinds, [NO_PATTERN, CONSOLIDATION, RETICULATION], GROUND_GLASS)
    return np.asarray(labels, np.uint8)


def _second_opinion(differing: int, masked: int) -> tuple[QualityFlag, ...]:
    """Flag a lung mask that differs from the network's lung output; ``differing`` and ``masked`` are voxel counts."""
    pct = 100 * differing / max(masked, 1)
    if pct <= DISAGREEMENT_PCT:
        return ()
    text = "the network would draw the lungs otherwise, % of the lung mask; look at it"
    return (QualityFlag("outline_disagreement", text, round(pct, 1)),)


def probabilities(
    volume: CTVolume, lungs: LungMask, model: PatternModel, progress: Progress | None = None
) -> Iterator[SliceProbability]:
    """Yield the network's probabilities for every slice that holds lung, from feet to head."""
    hu = volume.to_anatomical(volume.hu)
    spacing_mm = volume.anatomical_spacing_mm
    box = _box(volume.to_anatomical(lungs.labels), spacing_mm)
    if box is None:
        return
    slices, rows, columns = box
    together = max(1, int(SLAB_MM / spacing_mm[0]))
    slabs, slab_mm = _slabs(hu[:, rows, columns], together), spacing_mm[0] * together
    size = _working_size(slabs.shape[1:], spacing_mm[1:], model.step_mm)
    reach = max(1, round(model.reach_mm / slab_mm)) if slab_mm <= FARTHEST_NEIGHBOUR_MM else 0
    last = (slices.stop - 1) // together
    for start in range(slices.start // together, last + 1, BATCH):
        batch = range(start, min(start + BATCH, last + 1))
        stacks = torch.stack([stack(slabs, index, reach) for index in batch])
        values = _infer(stacks.to(model.device), size, model).numpy()
        done = range(max(batch.start * together, slices.start), min(batch.stop * together, slices.stop))
        for index in done:
            yield SliceProbability(index, rows, columns, values[index // together - start])
        if progress is not None:
            progress(done.stop - slices.start, len(slices))


def _slabs(hu: NDArray[np.int16], together: int) -> NDArray[np.int16]:
    """Return the means of so many slices each; the last slab may have fewer."""
    if together == 1:
        return hu
    means = [hu[first : first + together].mean(axis=0, dtype=np.float32) for first in range(0, len(hu), together)]
    return np.stack([mean.round().astype(np.int16) for mean in means])


def probabilities_alone(
    hu: NDArray[np.int16], spacing_mm: tuple[float, float], model: PatternModel
) -> NDArray[np.float32]:
    """Return the network's probabilities (outputs, rows, columns) for one slice without neighbours."""
    size = _working_size(hu.shape, spacing_mm, model.step_mm)
    values: NDArray[np.float32] = _infer(stack(hu[None], 0, 0)[None].to(model.device), size, model).numpy()[0]
    return values


def _box(inside: NDArray[np.generic], spacing_mm: tuple[float, float, float]) -> tuple[range, slice, slice] | None:
    """Return the slices that hold lung, and the rows and columns around all of it."""
    by_slice = np.flatnonzero(inside.any(axis=(1, 2)))
    if len(by_slice) == 0:
        return None
    spans = []
    for axis, step in ((1, spacing_mm[1]), (2, spacing_mm[2])):
        used = np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis})))
        margin = round(MARGIN_MM / step)
        spans.append(slice(max(int(used[0]) - margin, 0), min(int(used[-1]) + margin + 1, inside.shape[axis])))
    return range(int(by_slice[0]), int(by_slice[-1]) + 1), spans[0], spans[1]


def _working_size(shape: tuple[int, ...], spacing_mm: tuple[float, float], step_mm: float) -> tuple[int, int]:
    rows, columns = (max(network.STRIDE, round(n * own / step_mm)) for n, own in zip(shape, spacing_mm, strict=True))
    return rows, columns


def stack(hu: NDArray[np.generic], index: int, reach: int) -> torch.Tensor:
    """Return the slice between its neighbours as float (3, rows, columns); at the ends the last slice stands twice."""
    last = hu.shape[0] - 1
    picked = [min(max(index + offset, 0), last) for offset in (-reach, 0, reach)]
    return windowed(torch.from_numpy(np.ascontiguousarray(hu[picked])))


def windowed(hu: torch.Tensor) -> torch.Tensor:
    """Map Hounsfield units of the window −1024..200 to −1..1."""
    low, high = WINDOW_HU
    return (hu.float().clamp(low, high) - low) * (2 / (high - low)) - 1


@torch.inference_mode()
def _infer(stacks: torch.Tensor, size: tuple[int, int], model: PatternModel) -> torch.Tensor:
    """Return probabilities float (batch, outputs, rows, columns) on the grid of ``stacks``, on the CPU."""
    rows, columns = size
    resized = functional.interpolate(stacks, size=size, mode="bilinear", antialias=True, align_corners=False)
    padding = (0, -columns % network.STRIDE, 0, -rows % network.STRIDE)
    padded = functional.pad(resized, padding, value=-1.0)
    logits = model.engine(padded)[:, :, :rows, :columns]
    back = functional.interpolate(logits, size=stacks.shape[-2:], mode="bilinear", align_corners=False)
    return back.sigmoid().cpu()
