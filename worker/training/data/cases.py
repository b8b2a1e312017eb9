"""Cases to train on: HU and labels around the lungs, kept as files that are mapped rather than loaded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from worker.analysis.records import LungMask, PatternMap
from worker.phantom.chest_ct import HU_CEILING, PhantomSpec, scene, uid_of
from worker.reading.volume import HU_FLOOR

# Labels of a case: outside the lungs, healthy lung, then the patterns.
OUTSIDE, HEALTHY = 0, 1
CACHE_VERSION = 6
MARGIN_VOXELS = 18


@dataclass(frozen=True, eq=False)
class Case:
    """One patient around the lungs, in the anatomical frame: feet → head, front → back, right → left.

    Attributes
    ----------
    patient
        Whose lungs these are: no patient is on both sides of a split.
    hu
        int16 (slices, rows, columns).
    labels
        uint8 likewise: 0 outside the lungs, 1 healthy lung, 2 ground glass, 3 reticulation, 4 consolidation.
    spacing_mm
        (slices, rows, columns).
    exposed
        Whether a scanner has been at it. What is computed is kept as anatomy alone; kernel and noise are drawn anew
        for each crop.
    """

    patient: str
    hu: NDArray[np.int16]
    labels: NDArray[np.uint8]
    spacing_mm: tuple[float, float, float]
    exposed: bool


@dataclass(frozen=True)
class CasePlan:
    """How phantoms for training are drawn: number of slices over the chest (lowest, highest), rows and columns."""

    slices: tuple[int, int] = (34, 275)
    side: int = 512

    def spec(self, seed: int, held_out: bool = False) -> PhantomSpec:
        """Draw a patient and a protocol; by default slices of 1 to 8 mm with voxels of about 0.7 mm."""
        few, many = np.log(self.slices)
        slices = round(float(np.exp(np.random.default_rng((seed, 2)).uniform(few, many))))
        return PhantomSpec.drawn(seed, (slices, self.side, self.side), held_out)


def around_lungs(
    hu: NDArray[np.int16] | NDArray[np.float32], lungs: LungMask, patterns: PatternMap
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Return HU and labels of a case, cut to the lungs with a margin in the plane.

    Arrays lie in the anatomical frame.
    """
    labels = np.where(lungs.labels > 0, HEALTHY + patterns.labels, OUTSIDE).astype(np.uint8)
    found = ndimage.find_objects((labels > 0).astype(np.uint8))
    if not found:
        raise ValueError("a case to train on needs lung")
    slices, *in_plane = found[0]
    grown = [
        slice(max(span.start - MARGIN_VOXELS, 0), min(span.stop + MARGIN_VOXELS, n))
        for span, n in zip(in_plane, labels.shape[1:], strict=True)
    ]
    box = (slices, grown[0], grown[1])
    return np.clip(np.round(hu[box]), HU_FLOOR, HU_CEILING).astype(np.int16), labels[box]


def phantoms(specs: Sequence[PhantomSpec], folder: Path, processes: int) -> Iterator[Case]:
    """Yield the cases of ``specs``, drawing those that ``folder`` does not hold yet."""
    folder.mkdir(parents=True, exist_ok=True)
    requests = [(spec, folder) for spec in specs]
    if processes == 1:
        paths: Iterator[Path] = map(_drawn, requests)
        yield from (_mapped(spec, path) for spec, path in zip(specs, paths, strict=True))
        return
    # Threads of torch do not survive a fork.
    with get_context("spawn").Pool(processes) as pool:
        yield from (_mapped(spec, path) for spec, path in zip(specs, pool.imap(_drawn, requests), strict=True))


def _drawn(request: tuple[PhantomSpec, Path]) -> Path:
    """Draw one phantom into the folder. Labels are written last: where they are, all is."""
    spec, folder = request
    stem = folder / f"v{CACHE_VERSION}-{uid_of(spec, 'case').rpartition('.')[2]}"
    if not stem.with_suffix(".labels.npy").exists():
        drawn = scene(spec)
        hu, labels = around_lungs(drawn.hu, drawn.lungs, drawn.patterns)
        for name, array in (("hu", hu), ("labels", labels)):
            part = stem.with_suffix(f".{name}.part.npy")
            np.save(part, array)
            part.rename(stem.with_suffix(f".{name}.npy"))
    return stem


def _mapped(spec: PhantomSpec, stem: Path) -> Case:
    hu, labels = (np.load(stem.with_suffix(f".{name}.npy"), mmap_mode="r") for name in ("hu", "labels"))
    return Case(f"phantom {spec.seed}", hu, labels, spec.spacing_mm, exposed=False)
