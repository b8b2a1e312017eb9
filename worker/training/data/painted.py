"""Computed lesions painted into real healthy lungs: the texture is real, the disease is known."""

from collections.abc import Iterator, Sequence
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from worker.analysis import lungs
from worker.analysis.records import LungMask, PatternMap
from worker.phantom import lesions
from worker.phantom.fields import Field, Grid, middles, thickened
from worker.phantom.lesions import Disease
from worker.reading import series
from worker.reading.volume import CTVolume
from worker.training.data.cases import Case, around_lungs

# What is painted must be as blurred as what it is painted into: chest kernels are about as wide as this, sigma in mm.
BLUR_MM = (0.3, 0.55)
HEALTHY_SHARE = 0.25
MEDIAN_EXTENT_PCT, WIDEST_EXTENT_PCT = 12.0, 60.0
# Thin slices are merged in half of the paintings: so real lungs are seen as thick slices show them.
THIN_MM, THICKEST_MM, MERGED_SHARE = 1.5, 8.0, 0.5


def cases(folder: Path, seeds: Sequence[int], processes: int = 1) -> Iterator[Case]:
    """Yield cases from the healthy CT series below a folder, each of its folders with files one series.

    Every seed paints another disease into the next series in turn. Whatever such a series holds unpainted is called
    healthy: give none with disease.

    Raises
    ------
    InputRejected
        A series cannot be read, or holds no lungs.
    """
    series_folders = folders(folder)
    turns = [(one, f"healthy lungs {n + 1}", seeds[n :: len(series_folders)]) for n, one in enumerate(series_folders)]
    if processes == 1:
        yield from chain.from_iterable(map(_of_series, turns))
        return
    # Threads of torch do not survive a fork.
    with get_context("spawn").Pool(processes) as pool:
        yield from chain.from_iterable(pool.imap(_of_series, turns))


def _of_series(turn: tuple[Path, str, Sequence[int]]) -> list[Case]:
    folder, name, seeds = turn
    if not seeds:
        return []
    volume = series.read(sorted(path for path in folder.iterdir() if path.is_file())).volume
    lung_mask = lungs.segment(volume)
    return [painted(name, volume, lung_mask, seed) for seed in seeds]


def folders(folder: Path) -> list[Path]:
    """Return the folders of the series below a folder, in order."""
    return sorted({path.parent for path in folder.rglob("*") if path.is_file()})


def painted(name: str, volume: CTVolume, lung_mask: LungMask, seed: int) -> Case:
    """Paint one disease into a copy of a healthy chest; a quarter of the seeds leave it healthy."""
    rng = np.random.default_rng((seed, 4))
    hu, inside, grid = _as_seen(volume, lung_mask, rng)
    extent_pct = 0.0
    if rng.random() >= HEALTHY_SHARE:
        extent_pct = float(np.clip(rng.lognormal(np.log(MEDIAN_EXTENT_PCT), 0.8), 0.5, WIDEST_EXTENT_PCT))
    changed = hu.copy()
    labels = lesions.paint(changed, inside > 0, grid, Disease.drawn(extent_pct, rng), rng)
    seen = hu + _blurred(changed - hu, grid, rng.uniform(*BLUR_MM))
    cut, marked = around_lungs(seen, LungMask(inside), PatternMap(labels))
    return Case(name, cut, marked, grid.spacing_mm, exposed=True)


def _as_seen(volume: CTVolume, lung_mask: LungMask, rng: np.random.Generator) -> tuple[Field, NDArray[np.uint8], Grid]:
    """Return HU float32, lung labels and their grid in the anatomical frame; some thin slices merged to thick ones."""
    hu, inside = volume.to_anatomical(volume.hu), volume.to_anatomical(lung_mask.labels)
    slice_mm, *in_plane_mm = volume.anatomical_spacing_mm
    parts = 1
    if slice_mm <= THIN_MM and rng.random() < MERGED_SHARE:
        parts = int(rng.integers(2, max(2, int(THICKEST_MM / slice_mm)), endpoint=True))
    merged, middle = thickened(hu, parts), middles(inside, parts)
    grid = Grid((len(merged), hu.shape[1], hu.shape[2]), (slice_mm * parts, in_plane_mm[0], in_plane_mm[1]))
    return merged, middle, grid


def _blurred(change: Field, grid: Grid, sigma_mm: float) -> Field:
    sigma = [0.0, *(sigma_mm / step for step in grid.spacing_mm[1:])]
    return np.asarray(ndimage.gaussian_filter(change, sigma), np.float32)
