"""Random fields and coordinates on a grid in millimetres: the raw matter of the phantom."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Field = NDArray[np.float32]
Voxel = TypeVar("Voxel", bound=np.generic)


@dataclass(frozen=True)
class Grid:
    """A regular grid centred on the chest.

    ``shape`` is (slices, rows, columns); ``spacing_mm`` likewise. Slices run from feet to head, rows from anterior to
    posterior, columns from right to left.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]

    def axes(self) -> tuple[Field, Field, Field]:
        """Return z (feet → head), y (anterior → posterior) and x (right → left) in mm, shaped to broadcast."""
        z, y, x = (
            ((np.arange(n) - (n - 1) / 2) * step).astype(np.float32)
            for n, step in zip(self.shape, self.spacing_mm, strict=True)
        )
        return z[:, None, None], y[None, :, None], x[None, None, :]

    def at_least(self, step_mm: float) -> "Grid":
        """Return a coarser grid over the same space whose steps are about ``step_mm``, or the grid's own if larger."""
        shape = tuple(
            max(2, round(n * own / max(own, step_mm))) for n, own in zip(self.shape, self.spacing_mm, strict=True)
        )
        # The outermost voxel centres stay where they are: that is how a zoom maps one grid to the other.
        spacing = tuple(own * (n - 1) / (m - 1) for n, m, own in zip(self.shape, shape, self.spacing_mm, strict=True))
        return Grid((shape[0], shape[1], shape[2]), (spacing[0], spacing[1], spacing[2]))


def enlarge(field: Field, shape: tuple[int, int, int]) -> Field:
    """Bring a field to the grid of ``shape`` over the same space, linearly, corner voxels on corner voxels."""
    result = field.astype(np.float32, copy=False)
    for axis, (n, m) in enumerate(zip(field.shape, shape, strict=True)):
        if n == m:
            continue
        place = np.linspace(0, n - 1, m, dtype=np.float32)
        below = np.minimum(place.astype(np.intp), n - 2)
        share = (place - below).reshape([-1 if k == axis else 1 for k in range(3)])
        lower, upper = np.take(result, below, axis), np.take(result, below + 1, axis)
        upper -= lower
        upper *= share
        lower += upper
        result = lower
    return result


def thickened(thin: NDArray[np.generic], parts: int, every: int = 1) -> Field:
    """Return slices that are each the mean of ``parts`` thin ones, one in ``every`` of them; a rest is left out."""
    starts = range(0, len(thin) - parts + 1, parts * every)
    return np.stack([thin[start : start + parts].mean(axis=0, dtype=np.float32) for start in starts])


def middles(thin: NDArray[Voxel], parts: int, every: int = 1) -> NDArray[Voxel]:
    """Return what a mask of thin slices says of the thickened ones: what it says of their middles."""
    count = len(range(0, len(thin) - parts + 1, parts * every))
    return thin[parts // 2 :: parts * every][:count].copy()


def smooth_noise(grid: Grid, scale_mm: float, rng: np.random.Generator) -> Field:
    """Return Gaussian noise of zero mean and unit deviation whose lumps are about ``scale_mm`` wide."""
    coarse = grid.at_least(max(scale_mm / 3, 1e-3))
    noise = rng.standard_normal(coarse.shape).astype(np.float32)
    sigma = [scale_mm / 2.355 / step for step in coarse.spacing_mm]
    smoothed = ndimage.gaussian_filter(noise, sigma, mode="wrap")
    smoothed /= max(float(smoothed.std()), 1e-6)
    return smoothed if coarse.shape == grid.shape else enlarge(smoothed, grid.shape)


def soft(distance_mm: Field, width_mm: float) -> Field:
    """Return 1 well inside (distance > 0), 0 well outside, a linear ramp of ``width_mm`` between."""
    return np.asarray(np.clip(distance_mm / width_mm + 0.5, 0.0, 1.0), np.float32)
