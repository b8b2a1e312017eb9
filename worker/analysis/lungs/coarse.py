"""The lungs are segmented on a coarse grid of about 2 mm and brought back to the full one slice by slice."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

STEP_MM = 2.0
Mask = NDArray[np.bool_]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class CoarseVolume:
    """Block means of a volume in its anatomical frame.

    Attributes
    ----------
    hu
        float32 (slices, rows, columns).
    factors
        How many voxels of the full grid make one, along each axis.
    spacing_mm
        Of the coarse voxels.
    full_shape
        Of the volume it was made from.
    """

    hu: NDArray[np.float32]
    factors: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    full_shape: tuple[int, int, int]

    @property
    def voxel_ml(self) -> float:
        """Volume of a coarse voxel in millilitres."""
        return float(np.prod(self.spacing_mm)) / 1000


def shrink(hu: NDArray[np.int16], spacing_mm: tuple[float, float, float]) -> CoarseVolume:
    """Average blocks of voxels to a grid of about 2 mm; a coarser axis stays as it is."""
    by_z, by_y, by_x = (max(1, round(STEP_MM / step)) for step in spacing_mm)
    slices, rows, columns = hu.shape
    padded = tuple(-(-n // k) * k for n, k in zip((rows, columns), (by_y, by_x), strict=True))
    coarse = np.empty((-(-slices // by_z), padded[0] // by_y, padded[1] // by_x), np.float32)
    for index in range(coarse.shape[0]):
        mean = hu[index * by_z : (index + 1) * by_z].mean(axis=0, dtype=np.float32)
        mean = np.pad(mean, ((0, padded[0] - rows), (0, padded[1] - columns)), mode="edge")
        coarse[index] = mean.reshape(coarse.shape[1], by_y, coarse.shape[2], by_x).mean(axis=(1, 3))
    spacing = (spacing_mm[0] * by_z, spacing_mm[1] * by_y, spacing_mm[2] * by_x)
    return CoarseVolume(coarse, (by_z, by_y, by_x), spacing, (slices, rows, columns))


def cropped(grid: CoarseVolume, box: Box) -> tuple[CoarseVolume, Box]:
    """Return the grid inside a box of coarse voxels, and the same box in voxels of the full grid."""
    full_box = [
        slice(s.start * k, min(s.stop * k, n)) for s, k, n in zip(box, grid.factors, grid.full_shape, strict=True)
    ]
    lengths = [s.stop - s.start for s in full_box]
    part = CoarseVolume(grid.hu[box], grid.factors, grid.spacing_mm, (lengths[0], lengths[1], lengths[2]))
    return part, (full_box[0], full_box[1], full_box[2])


def enlarged_slices(values: Mask | NDArray[np.float32], grid: CoarseVolume) -> Iterator[NDArray[np.float32]]:
    """Yield values on the full grid, slice by slice, interpolated between coarse voxel centres; a mask as 0..1."""
    places = [_places(n, k, m) for n, k, m in zip(grid.full_shape, grid.factors, values.shape, strict=True)]
    (z_low, z_high, z_share), (y_low, y_high, y_share), (x_low, x_high, x_share) = places
    values = values.astype(np.float32, copy=False)
    for low, high, share in zip(z_low, z_high, z_share, strict=True):
        plane = values[low] if low == high else values[low] * (1 - share) + values[high] * share
        rows = plane[y_low] * (1 - y_share)[:, None] + plane[y_high] * y_share[:, None]
        yield rows[:, x_low] * (1 - x_share) + rows[:, x_high] * x_share


def _places(n: int, factor: int, coarse_n: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Return for each full voxel the coarse ones below and above its centre and the share of the upper one."""
    at = np.clip((np.arange(n) + 0.5) / factor - 0.5, 0, coarse_n - 1)
    low = np.floor(at).astype(np.intp)
    return low, np.minimum(low + 1, coarse_n - 1), (at - low).astype(np.float32)


def around(mask: Mask, margin_mm: float, spacing_mm: tuple[float, float, float]) -> Box:
    """Return the box of a mask that is not empty, with a margin, inside the grid."""
    box = []
    for axis, step in enumerate(spacing_mm):
        places = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        margin = int(np.ceil(margin_mm / step)) + 1
        box.append(slice(max(0, int(places[0]) - margin), int(places[-1]) + margin + 1))
    return box[0], box[1], box[2]


def grown(mask: Mask, radius_mm: float, spacing_mm: tuple[float, float, float]) -> Mask:
    """Dilate by a ball."""
    dilated = np.zeros_like(mask)
    if mask.any():
        box = around(mask, radius_mm, spacing_mm)
        dilated[box] = ndimage.distance_transform_edt(~mask[box], spacing_mm) <= radius_mm
    return dilated


def closed(mask: Mask, radius_mm: float, spacing_mm: tuple[float, float, float]) -> Mask:
    """Close by a ball: dilate, then erode. The field is padded, so that its edge closes nothing."""
    if not mask.any():
        return mask.copy()
    box = around(mask, 0.0, spacing_mm)
    margin = [int(np.ceil(radius_mm / step)) + 1 for step in spacing_mm]
    padded = np.pad(mask[box], [(m, m) for m in margin])
    dilated = ndimage.distance_transform_edt(~padded, spacing_mm) <= radius_mm
    eroded = ndimage.distance_transform_edt(dilated, spacing_mm) > radius_mm
    filled = mask.copy()
    filled[box] |= eroded[tuple(slice(m, -m) for m in margin)]
    return filled
