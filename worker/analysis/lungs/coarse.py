"""The lungs are segmented on a coarse grid of about 2 mm and brought back to the full one slice by slice."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.analysis.lungs import ball, cores

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
    # The order decides the last bit: what lies side by side in memory is added first.
    transposed = abs(hu.strides[1]) < abs(hu.strides[2])

    def average(index: int) -> None:
        block = hu[index * by_z : (index + 1) * by_z]
        mean = _sum([plane.astype(np.float32) for plane in block]) / np.float32(len(block))
        mean = np.pad(mean, ((0, padded[0] - rows), (0, padded[1] - columns)), mode="edge")
        coarse[index] = _block_sums(mean, by_y, by_x, transposed) / (by_y * by_x)

    cores.for_each(len(coarse), average)
    spacing = (spacing_mm[0] * by_z, spacing_mm[1] * by_y, spacing_mm[2] * by_x)
    return CoarseVolume(coarse, (by_z, by_y, by_x), spacing, (slices, rows, columns))


def _block_sums(plane: NDArray[np.float32], by_y: int, by_x: int, transposed: bool) -> NDArray[np.float32]:
    """Add up blocks of voxels: columns first, or rows where those lie side by side in memory."""
    if transposed:
        return _block_sums(plane.T, by_x, by_y, False).T
    by_row = _sum([plane[:, column::by_x] for column in range(by_x)])
    return _sum([by_row[row::by_y] for row in range(by_y)])


def _sum(planes: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    total = planes[0]
    for plane in planes[1:]:
        total = total + plane
    return total


def cropped(grid: CoarseVolume, box: Box) -> tuple[CoarseVolume, Box]:
    """Return the grid inside a box of coarse voxels, and the same box in voxels of the full grid."""
    full_box = [
        slice(s.start * k, min(s.stop * k, n)) for s, k, n in zip(box, grid.factors, grid.full_shape, strict=True)
    ]
    lengths = [s.stop - s.start for s in full_box]
    part = CoarseVolume(grid.hu[box], grid.factors, grid.spacing_mm, (lengths[0], lengths[1], lengths[2]))
    return part, (full_box[0], full_box[1], full_box[2])


class Enlarger:
    """Brings values on the coarse grid to the full one, slice by slice, interpolated between coarse voxel centres."""

    def __init__(self, grid: CoarseVolume) -> None:
        self._places = [_places(n, k, m) for n, k, m in zip(grid.full_shape, grid.factors, grid.hu.shape, strict=True)]

    def slice(self, values: Mask | NDArray[np.float32], index: int) -> NDArray[np.float32]:
        """Return one slice of the full grid; a mask as 0..1."""
        (z_low, z_high, z_share), (y_low, y_high, y_share), (x_low, x_high, x_share) = self._places
        low, high, share = z_low[index], z_high[index], z_share[index]
        plane = values[low] if low == high else values[low] * (1 - share) + values[high] * share
        plane = plane.astype(np.float32, copy=False)
        rows: NDArray[np.float32] = plane[y_low] * (1 - y_share)[:, None] + plane[y_high] * y_share[:, None]
        # In place: memory for each step would cost more than the step.
        enlarged, upper = rows[:, x_low], rows[:, x_high]
        np.multiply(enlarged, 1 - x_share, out=enlarged)
        np.multiply(upper, x_share, out=upper)
        return np.add(enlarged, upper, out=enlarged)


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
        dilated[box] = ball.dilated(mask[box], radius_mm, spacing_mm)
    return dilated


def closed(mask: Mask, radius_mm: float, spacing_mm: tuple[float, float, float]) -> Mask:
    """Close by a ball: dilate, then erode. The field is padded, so that its edge closes nothing."""
    if not mask.any():
        return mask.copy()
    box = around(mask, 0.0, spacing_mm)
    margin = [int(np.ceil(radius_mm / step)) + 1 for step in spacing_mm]
    padded = np.pad(mask[box], [(m, m) for m in margin])
    rounded = ball.eroded(ball.dilated(padded, radius_mm, spacing_mm), radius_mm, spacing_mm)
    filled = mask.copy()
    filled[box] |= rounded[tuple(slice(m, -m) for m in margin)]
    return filled
