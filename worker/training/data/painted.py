"""Computed lesions painted into real healthy lungs: the texture is real, the disease is known."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from worker.analysis import lungs
from worker.analysis.records import LungMask, PatternMap
from worker.phantom import lesions
from worker.phantom.fields import Field, Grid
from worker.phantom.lesions import Disease
from worker.reading import series
from worker.reading.volume import CTVolume
from worker.training.data.cases import Case, around_lungs

# What is painted must be as blurred as what it is painted into; most chest kernels are about as wide as this.
BLUR_MM = 0.45
HEALTHY_SHARE = 0.25
MEDIAN_EXTENT_PCT, WIDEST_EXTENT_PCT = 12.0, 60.0


def cases(folder: Path, seeds: Sequence[int]) -> Iterator[Case]:
    """Yield cases from the healthy CT series below a folder, each of its folders with files one series.

    Every seed paints another disease into the next series in turn. Whatever such a series holds unpainted is called
    healthy: give none with
    disease.

    Raises
    ------
    InputRejected
        A series cannot be read, or holds no lungs.
    """
    series_folders = folders(folder)
    for turn, one in enumerate(series_folders):
        own = [seed for place, seed in enumerate(seeds) if place % len(series_folders) == turn]
        if own:
            volume = series.read(sorted(path for path in one.iterdir() if path.is_file())).volume
            lung_mask = lungs.segment(volume)
            for seed in own:
                yield painted(f"healthy lungs {turn + 1}", volume, lung_mask, seed)


def folders(folder: Path) -> list[Path]:
    """Return the folders of the series below a folder, in order."""
    return sorted({path.parent for path in folder.rglob("*") if path.is_file()})


def painted(name: str, volume: CTVolume, lung_mask: LungMask, seed: int) -> Case:
    """Paint one disease into a copy of a healthy chest; a quarter of the seeds leave it healthy."""
    rng = np.random.default_rng((seed, 4))
    hu = volume.to_anatomical(volume.hu).astype(np.float32)
    inside = volume.to_anatomical(lung_mask.labels)
    grid = Grid((hu.shape[0], hu.shape[1], hu.shape[2]), volume.anatomical_spacing_mm)
    extent_pct = 0.0
    if rng.random() >= HEALTHY_SHARE:
        extent_pct = float(np.clip(rng.lognormal(np.log(MEDIAN_EXTENT_PCT), 0.8), 0.5, WIDEST_EXTENT_PCT))
    changed = hu.copy()
    labels = lesions.paint(changed, inside > 0, grid, Disease.drawn(extent_pct, rng), rng)
    seen = hu + _blurred(changed - hu, grid)
    cut, marked = around_lungs(seen, LungMask(inside), PatternMap(labels))
    return Case(name, cut, marked, grid.spacing_mm, exposed=True)


def _blurred(change: Field, grid: Grid) -> Field:
    sigma = [0.0, *(BLUR_MM / step for step in grid.spacing_mm[1:])]
    return np.asarray(ndimage.gaussian_filter(change, sigma), np.float32)
