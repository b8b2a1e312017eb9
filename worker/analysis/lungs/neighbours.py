"""Dilation and erosion by the nearest neighbours along chosen axes; the same as those of scipy with a cross."""

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
IN_PLANE = (-2, -1)
ALL = (-3, -2, -1)


def dilated(mask: Mask, axes: tuple[int, ...] = ALL, iterations: int = 1) -> Mask:
    """Add the neighbours of a mask."""
    for _ in range(iterations):
        grown = mask.copy()
        for axis in axes:
            below, above = _pair(axis, mask.ndim)
            grown[above] |= mask[below]
            grown[below] |= mask[above]
        mask = grown
    return mask


def eroded(mask: Mask, axes: tuple[int, ...] = ALL, iterations: int = 1, beyond: bool = False) -> Mask:
    """Leave the voxels whose neighbours all belong to a mask; ``beyond`` says whether what lies outside does."""
    for _ in range(iterations):
        left = mask.copy()
        for axis in axes:
            below, above = _pair(axis, mask.ndim)
            left[above] &= mask[below]
            left[below] &= mask[above]
            if not beyond:
                np.moveaxis(left, axis, 0)[[0, -1]] = False
        mask = left
    return mask


def opened(mask: Mask, axes: tuple[int, ...] = ALL, iterations: int = 1) -> Mask:
    """Erode, then dilate: take away what is thinner."""
    return dilated(eroded(mask, axes, iterations), axes, iterations)


def _pair(axis: int, dimensions: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return the places of all voxels but the last along an axis, and of all but the first."""
    below, above = [slice(None)] * dimensions, [slice(None)] * dimensions
    below[axis], above[axis] = slice(None, -1), slice(1, None)
    return tuple(below), tuple(above)
