"""Crops to train on: cut from cases, each with a protocol and variations of its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional
from torch.utils.data import IterableDataset

from worker.analysis import patterns
from worker.analysis.records import CONSOLIDATION, NO_PATTERN, RETICULATION
from worker.phantom import acquisition
from worker.phantom.acquisition import Protocol
from worker.training.data.cases import HEALTHY, OUTSIDE, Case

# The lung mask found at work is not the true one: what lies just outside must be called healthy too.
RIM_VOXELS = 2
GAP_MM, GAPPED_SHARE, ALONE_SHARE = 10.0, 0.06, 0.2
# How far vessels wander from one slice to the next, sd in mm, over a distance of so many mm.
WANDERING_MM, WANDERING_OVER_MM = (0.5, 2.5), 15.0
MOVED_SHARE, STREAKED_SHARE, SHRUNK_SHARE = 0.15, 0.1, 0.12
PADDING_HU = -1024
Sample = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
Slices = NDArray[np.float32]
Window = tuple[slice, slice]
Voxel = TypeVar("Voxel", bound=np.generic)


@dataclass(frozen=True)
class CropPlan:
    """How crops are cut: their side in voxels, the distance of neighbouring slices, the share sought in disease."""

    side: int = 256
    reach_mm: float = 2.5
    diseased_share: float = 0.5


class Crops(IterableDataset[Sample]):
    """An endless stream of crops, the same for the same seed.

    Yields
    ------
    float32 (3, side, side) neighbouring slices windowed to −1..1; float32 (4, side, side) what the network should
    say; float32 (1, side, side) where lesions are judged: the lung with a rim of what surrounds it.
    """

    def __init__(self, source: Sequence[Case], plan: CropPlan, seed: int) -> None:
        self._cases = source
        self._plan = plan
        self._seed = seed

    def __iter__(self) -> Iterator[Sample]:
        """Stream samples; each loader worker has a stream of its own."""
        worker = torch.utils.data.get_worker_info()
        rng = np.random.default_rng((self._seed, worker.id if worker else 0))
        while True:
            yield self._crop(self._cases[int(rng.integers(len(self._cases)))], rng)

    def _crop(self, case: Case, rng: np.random.Generator) -> Sample:
        index, middle = _centre(case, rng.random() < self._plan.diseased_share, rng)
        side = self._plan.side
        top, left = (_start(at, n, side, rng) for at, n in zip(middle, case.hu.shape[1:], strict=True))
        window = (slice(top, top + side), slice(left, left + side))
        hu = _seen(case, index, window, self._reach(case, rng), rng)
        labels = _padded(case.labels[index][window], side, OUTSIDE)
        patterns_in = (labels == HEALTHY + pattern for pattern in (RETICULATION, CONSOLIDATION))
        target = np.stack([labels > HEALTHY, *patterns_in, labels > OUTSIDE]).astype(np.float32)
        near = ndimage.maximum_filter(target[-1:], (1, 2 * RIM_VOXELS + 1, 2 * RIM_VOXELS + 1))
        stack = patterns.windowed(torch.from_numpy(_padded(hu, side, PADDING_HU)))
        return _varied(stack, torch.from_numpy(target), torch.from_numpy(near), rng)

    def _reach(self, case: Case, rng: np.random.Generator) -> int:
        """Return how many slices away the neighbours are taken.

        In some crops they are as far as in a gapped series; in some a slice stands alone, as it does in thick ones.
        """
        if rng.random() < ALONE_SHARE:
            return 0
        reach_mm = GAP_MM if rng.random() < GAPPED_SHARE else self._plan.reach_mm
        return max(1, round(reach_mm / case.spacing_mm[0]))


def _centre(case: Case, seek_disease: bool, rng: np.random.Generator) -> tuple[int, tuple[int, int]]:
    """Return a place in the lung; with ``seek_disease`` one in a lesion where a few tries find any."""
    for _ in range(20):
        index = int(rng.integers(case.labels.shape[0]))
        rows, columns = np.nonzero(case.labels[index] > (HEALTHY + NO_PATTERN if seek_disease else OUTSIDE))
        if len(rows):
            pick = int(rng.integers(len(rows)))
            return index, (int(rows[pick]), int(columns[pick]))
    slices, height, width = case.labels.shape
    return slices // 2, (height // 2, width // 2)


def _start(middle: int, n: int, side: int, rng: np.random.Generator) -> int:
    """Begin the crop so that ``middle`` lies in it, not always in its centre."""
    return int(np.clip(middle - rng.integers(side // 4, 3 * side // 4), 0, max(n - side, 0)))


def _seen(case: Case, index: int, window: Window, reach: int, rng: np.random.Generator) -> Slices:
    """Return the slice between its neighbours in HU, as some scanner shows them."""
    hu = case.hu
    last = hu.shape[0] - 1
    picked = np.clip([index - reach, index, index + reach], 0, last)
    slices = _cut(hu, picked, window)
    if last == 0 and rng.random() >= ALONE_SHARE:
        slices = _with_neighbours(slices, case.spacing_mm[1:], rng)
    if case.exposed:
        return _disturbed(acquisition.exposed_again(_at_times_moved(slices, rng), case.spacing_mm[1:], rng), rng)
    beside = _cut(hu, np.clip(picked - 1, 0, last), window) + _cut(hu, np.clip(picked + 1, 0, last), window)
    share = float(rng.uniform(0.05, 0.3))
    slices = (1 - 2 * share) * slices + share * beside
    protocol = Protocol.drawn(case.spacing_mm[0], rng)
    return _disturbed(acquisition.expose(_at_times_moved(slices, rng), case.spacing_mm[1:], protocol, rng), rng)


def _with_neighbours(slices: Slices, spacing_mm: tuple[float, float], rng: np.random.Generator) -> Slices:
    """Give a slice that was taken alone two computed neighbours, in which all has moved one way and the other.

    Else a network learns that slices without neighbours have no lines, instead of what lines are.
    """
    middle = slices[1]
    wandering = rng.normal(size=(2, *middle.shape))
    for axis, step_mm in enumerate(spacing_mm):
        smooth = ndimage.gaussian_filter(wandering[axis], [WANDERING_OVER_MM / step for step in spacing_mm])
        wandering[axis] = smooth / smooth.std() * rng.uniform(*WANDERING_MM) / step_mm
    places = np.indices(middle.shape)
    beside = [ndimage.map_coordinates(middle, places + way * wandering, order=1, mode="nearest") for way in (-1, 1)]
    return np.stack([beside[0], middle, beside[1]]).astype(np.float32)


def _cut(hu: NDArray[np.int16], slices: NDArray[np.intp], window: Window) -> Slices:
    rows, columns = window
    return hu[slices, rows, columns].astype(np.float32)


def _disturbed(slices: Slices, rng: np.random.Generator) -> Slices:
    """Return slices that some crops show with streaks, or with larger pixels."""
    if rng.random() < STREAKED_SHARE:
        slices = acquisition.streaked(slices, rng)
    return acquisition.shrunk(slices, rng) if rng.random() < SHRUNK_SHARE else slices


def _at_times_moved(slices: Slices, rng: np.random.Generator) -> Slices:
    """Return slices in which the chest of some moved a millimetre or two while they were taken: edges stand double."""
    if rng.random() >= MOVED_SHARE:
        return slices
    shift = [int(step) for step in rng.integers(-3, 4, size=2)]
    share = float(rng.uniform(0.2, 0.5))
    return np.asarray((1 - share) * slices + share * np.roll(slices, shift, axis=(1, 2)), np.float32)


def _padded(array: NDArray[Voxel], side: int, value: float) -> NDArray[Voxel]:
    margins = [(0, 0)] * (array.ndim - 2) + [(0, side - n) for n in array.shape[-2:]]
    return np.pad(array, margins, constant_values=value)


def _varied(stack: torch.Tensor, target: torch.Tensor, near: torch.Tensor, rng: np.random.Generator) -> Sample:
    """Mirror left and right, turn a little, change brightness and contrast. Never upside down: gravity matters."""
    if rng.random() < 0.5:
        stack, target, near = stack.flip(-1), target.flip(-1), near.flip(-1)
    if rng.random() < 0.25:
        stack, target, near = _turned((stack, target, near), rng)
    stack = stack * float(rng.uniform(0.94, 1.06)) + float(rng.normal(0, 0.02))
    return stack.contiguous(), target.contiguous(), near.contiguous()


def _turned(sample: Sample, rng: np.random.Generator) -> Sample:
    """Turn and scale a crop by a few degrees and percent: lungs lie askew, and voxels differ in size."""
    angle, scale = np.radians(rng.uniform(-12, 12)), rng.uniform(0.85, 1.2)
    matrix = scale * np.array([[np.cos(angle), -np.sin(angle), 0.0], [np.sin(angle), np.cos(angle), 0.0]])
    grid = functional.affine_grid(torch.tensor(matrix[None], dtype=torch.float32), [1, 1, *sample[0].shape[-2:]], False)
    stack, target, near = (
        functional.grid_sample(part[None] - fill, grid, mode, "zeros", align_corners=False)[0] + fill
        for part, mode, fill in zip(sample, ("bilinear", "nearest", "nearest"), (-1.0, 0.0, 0.0), strict=True)
    )
    return stack, target, near
