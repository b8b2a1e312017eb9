"""Phantoms as training samples: rendered once into a folder, cut into crops with fresh variations each time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional
from torch.utils.data import IterableDataset

from worker.analysis import patterns
from worker.analysis.records import NO_PATTERN, RETICULATION
from worker.training.phantom import PhantomSpec, render, uid_of

# Labels of a cached case: outside the lungs, healthy lung, then the patterns.
OUTSIDE, HEALTHY = 0, 1
CACHE_VERSION = 2
MARGIN_VOXELS = 16
# The outline found at work is not the true one: what lies just outside must be called healthy too.
RIM_VOXELS = 2
Sample = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class CropPlan:
    """How crops are cut: their side in voxels, the distance of neighbouring slices, the share sought in disease."""

    side: int = 256
    reach_mm: float = 2.5
    diseased_share: float = 0.5


@dataclass(frozen=True, eq=False)
class Case:
    """One rendered phantom around its lungs: int16 HU and uint8 labels (slices, rows, columns)."""

    hu: NDArray[np.int16]
    labels: NDArray[np.uint8]
    slice_mm: float


@dataclass(frozen=True)
class CasePlan:
    """How phantoms for training are drawn: number of slices over the chest (lowest, highest), rows and columns."""

    slices: tuple[int, int] = (70, 195)
    side: int = 448

    def spec(self, seed: int) -> PhantomSpec:
        """Draw a patient and a protocol; by default slices of 1.4 to 4 mm with voxels of about 0.8 mm."""
        slices = int(np.random.default_rng((seed, 2)).integers(*self.slices, endpoint=True))
        return PhantomSpec.drawn(seed, (slices, self.side, self.side))


def cases(specs: Sequence[PhantomSpec], folder: Path, processes: int) -> Iterator[Case]:
    """Yield the cases of ``specs``, rendering those that ``folder`` does not hold yet."""
    folder.mkdir(parents=True, exist_ok=True)
    requests = [(spec, folder) for spec in specs]
    if processes == 1:
        yield from map(_loaded, map(_rendered, requests))
        return
    # Threads of torch do not survive a fork.
    with get_context("spawn").Pool(processes) as pool:
        yield from map(_loaded, pool.imap(_rendered, requests))


def _loaded(path: Path) -> Case:
    stored = np.load(path)
    return Case(stored["hu"], stored["labels"], float(stored["slice_mm"]))


def _rendered(request: tuple[PhantomSpec, Path]) -> Path:
    spec, folder = request
    path = folder / f"v{CACHE_VERSION}-{uid_of(spec, 'case').rpartition('.')[2]}.npz"
    if not path.exists():
        phantom = render(spec)
        labels = np.where(phantom.lungs.labels > 0, HEALTHY + phantom.patterns.labels, OUTSIDE).astype(np.uint8)
        box = _around(labels > 0)
        part = path.with_suffix(".part.npz")
        np.savez(part, hu=phantom.volume.hu[box], labels=labels[box], slice_mm=spec.spacing_mm[0])
        part.rename(path)
    return path


def _around(mask: NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    found = ndimage.find_objects(mask.astype(np.uint8))[0]
    _, rows, columns = found
    grown = [
        slice(max(span.start - MARGIN_VOXELS, 0), min(span.stop + MARGIN_VOXELS, n))
        for span, n in zip((rows, columns), mask.shape[1:], strict=True)
    ]
    return found[0], grown[0], grown[1]


class Crops(IterableDataset[Sample]):
    """An endless stream of (three slices, two target regions, lung) crops, each varied afresh.

    Yields
    ------
    float32 (3, side, side) windowed to −1..1; float32 (2, side, side) lesion and reticulation; float32 (1, side, side)
    lung with a rim of what surrounds it.
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
            case = self._cases[int(rng.integers(len(self._cases)))]
            yield self._crop(case, rng)

    def _crop(self, case: Case, rng: np.random.Generator) -> Sample:
        seek_disease = rng.random() < self._plan.diseased_share
        index, row, column = _centre(case, seek_disease, rng)
        side = self._plan.side
        top, left = (
            _start(middle, n, side, rng) for middle, n in ((row, case.hu.shape[1]), (column, case.hu.shape[2]))
        )
        reach = max(1, round(self._plan.reach_mm / case.slice_mm))
        stack = _thickened(case.hu[:, top : top + side, left : left + side], index, reach, rng)
        labels = torch.from_numpy(case.labels[index, top : top + side, left : left + side].astype(np.int64))
        stack, labels = _padded(stack, side, -1.0), _padded(labels[None], side, OUTSIDE)[0]
        target = torch.stack([labels > HEALTHY, labels == HEALTHY + RETICULATION]).float()
        lung = functional.max_pool2d((labels > OUTSIDE)[None].float(), 2 * RIM_VOXELS + 1, 1, RIM_VOXELS)
        return _varied(stack, target, lung, rng)


def _centre(case: Case, seek_disease: bool, rng: np.random.Generator) -> tuple[int, int, int]:
    """Return a place in the lung; with ``seek_disease`` one in a lesion where a few tries find any."""
    for _ in range(20):
        index = int(rng.integers(case.labels.shape[0]))
        wanted = case.labels[index] > (HEALTHY + NO_PATTERN if seek_disease else OUTSIDE)
        rows, columns = np.nonzero(wanted)
        if len(rows):
            pick = int(rng.integers(len(rows)))
            return index, int(rows[pick]), int(columns[pick])
    return case.labels.shape[0] // 2, case.labels.shape[1] // 2, case.labels.shape[2] // 2


def _start(middle: int, n: int, side: int, rng: np.random.Generator) -> int:
    """Begin the crop so that ``middle`` lies in it, not always in its centre."""
    return int(np.clip(middle - rng.integers(side // 4, 3 * side // 4), 0, max(n - side, 0)))


def _thickened(hu: NDArray[np.int16], index: int, reach: int, rng: np.random.Generator) -> torch.Tensor:
    """Return the stack as thicker slices would show it: domes and vessels smear into their neighbours."""
    stack = patterns.stack(hu, index, reach)
    share = float(rng.uniform(0, 0.3))
    neighbours = patterns.stack(hu, index - 1, reach) + patterns.stack(hu, index + 1, reach)
    return (1 - 2 * share) * stack + share * neighbours


def _padded(tensor: torch.Tensor, side: int, value: float) -> torch.Tensor:
    rows, columns = tensor.shape[-2:]
    return functional.pad(tensor, (0, side - columns, 0, side - rows), value=value)


def _varied(stack: torch.Tensor, target: torch.Tensor, lung: torch.Tensor, rng: np.random.Generator) -> Sample:
    """Mirror left and right, change brightness and sharpness, add noise. Never upside down: gravity matters."""
    if rng.random() < 0.5:
        stack, target, lung = stack.flip(-1), target.flip(-1), lung.flip(-1)
    stack = stack * float(rng.uniform(0.94, 1.06)) + float(rng.normal(0, 0.02))
    if rng.random() < 0.3:
        blurred = functional.avg_pool2d(stack, 3, stride=1, padding=1)
        stack = stack + float(rng.uniform(-0.5, 1.0)) * (blurred - stack)
    if rng.random() < 0.5:
        noise = torch.from_numpy(rng.standard_normal(stack.shape, dtype=np.float32))
        stack = stack + float(rng.uniform(0, 0.05)) * noise
    return stack.contiguous(), target.contiguous(), lung.contiguous()
