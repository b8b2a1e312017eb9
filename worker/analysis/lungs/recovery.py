"""Adds dense disease, which a threshold takes for chest wall, to the lung mask, by its density and the lung's shape."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import convex_hull_image

from worker.analysis.lungs import neighbours, pieces
from worker.analysis.lungs.coarse import CoarseVolume, Mask, around, closed, grown

VESSEL_CLOSING_MM = 5.0
LARGEST_HOLE_MM2 = 300.0
DISEASE_CLOSING_MM = 12.0
GAS_EDGE_VOXELS = 2
# Fat of the chest wall averages −110 over 2 mm; what is lighter and touches lung is lung.
LIGHTER_THAN_FAT_HU = -180.0
SMOOTH_MM = 2.0
# Within this distance of aerated lung, dense tissue is taken for lung; deeper in, only where it holds no gas as bowel.
DENSE_RIM_MM, DENSE_REACH_MM = 20.0, 120.0
# Interstitial disease averages to this over 2 mm; fat of the chest wall begins above, liver and muscle lie far above.
DISEASE_HU = (-700.0, -130.0)
DEEPEST_MM = 30.0
# Degrees in front of the lateral direction up to which the hull is trusted: further forward lie heart and sternum.
FORWARD_DEGREES = 25.0
ANGLES = 360
Point = tuple[float, float]


def lighter_than_fat(grid: CoarseVolume) -> Mask:
    """Return what is lighter than fat, in its own voxel or on average nearby, without thin layers of it."""
    nearby = ndimage.gaussian_filter(grid.hu, [SMOOTH_MM / step for step in grid.spacing_mm])
    lighter = np.minimum(nearby, grid.hu) < LIGHTER_THAN_FAT_HU
    return neighbours.opened(lighter, neighbours.IN_PLANE)


def grow_within(lung: Mask, possible: Mask, gas: Mask, grid: CoarseVolume) -> Mask:
    """Grow one lung inside what is possible: a rim of it, and what lies deeper unless it holds gas, as bowel does."""
    if not lung.any():
        return lung
    rim = _grown_within(lung, possible, DENSE_RIM_MM, grid)
    deeper = _grown_within(rim, possible, DENSE_REACH_MM - DENSE_RIM_MM, grid) & ~rim
    labels, count = pieces.label(deeper)
    bowel = labels[neighbours.dilated(gas, iterations=GAS_EDGE_VOXELS)]
    return rim | (deeper & ~pieces.touched(labels, count, bowel))


def _grown_within(lung: Mask, possible: Mask, reach_mm: float, grid: CoarseVolume) -> Mask:
    result = lung.copy()
    box = around(lung, reach_mm, grid.spacing_mm)
    steps = max(1, round(reach_mm / max(grid.spacing_mm[1:])))
    result[box] = ndimage.binary_dilation(lung[box], iterations=steps, mask=possible[box] | lung[box])
    return result


def fill_vessels(lung: Mask, grid: CoarseVolume) -> Mask:
    """Fill vessels and holes inside one lung; the dome of the diaphragm, an island in its slice, is none."""
    if not lung.any():
        return lung
    filled = closed(lung, VESSEL_CLOSING_MM, grid.spacing_mm)
    box = around(filled, 0.0, grid.spacing_mm)
    largest = LARGEST_HOLE_MM2 / (grid.spacing_mm[1] * grid.spacing_mm[2])
    inner = ndimage.binary_fill_holes(filled[box])
    filled[box] = inner | pieces.holes(inner, largest)
    return filled


def recover(lung: Mask, forbidden: Mask, grid: CoarseVolume, centre: Point) -> Mask:
    """Return one lung with its dense subpleural disease.

    Parameters
    ----------
    lung
        The aerated lung, vessels filled.
    forbidden
        What must stay outside: the other lung, the airways, bone.
    centre
        (row, column) of the middle of the chest: outward is away from it.
    """
    if not lung.any():
        return lung
    box = around(lung, DEEPEST_MM, grid.spacing_mm)
    inner, possible = lung[box], ~forbidden[box] & (grid.hu[box] > DISEASE_HU[0]) & (grid.hu[box] < DISEASE_HU[1])
    corner = (centre[0] - box[1].start, centre[1] - box[2].start)
    hull = _hull(inner)
    near = grown(inner, DEEPEST_MM, grid.spacing_mm)
    rounded = closed(inner, DISEASE_CLOSING_MM, grid.spacing_mm)
    added = (rounded | (hull & near)) & possible & ~inner
    seen = _Directions.around(corner, inner.shape[1:], grid.spacing_mm[1:])
    for index in np.flatnonzero(added.any(axis=(1, 2))):
        added[index] &= _outermost(inner[index], seen)
    result = lung.copy()
    # What is added must be a piece of some size, not the ragged edge of the pleura.
    result[box] |= neighbours.opened(added, neighbours.IN_PLANE)
    return result


def _hull(lung: Mask) -> Mask:
    """Return the convex hull of each slice."""
    hull = np.zeros_like(lung)
    for target, plane in zip(hull, lung, strict=True):
        if plane.any():
            span = ndimage.find_objects(plane.astype(np.uint8))[0]
            target[span] = convex_hull_image(plane[span])
    return hull


@dataclass(frozen=True, eq=False)
class _Directions:
    """The places of a plane as seen from the centre: distance in mm, direction, and how far forward, in degrees."""

    radius: NDArray[np.float32]
    bins: NDArray[np.intp]
    forward: NDArray[np.float32]

    @classmethod
    def around(cls, centre: Point, shape: tuple[int, ...], spacing_mm: tuple[float, float]) -> "_Directions":
        rows, columns = np.indices(shape, dtype=np.float32)
        down, across = (rows - centre[0]) * spacing_mm[0], (columns - centre[1]) * spacing_mm[1]
        angle = np.degrees(np.arctan2(down, across))
        bins = ((angle + 180) * (ANGLES / 360)).astype(np.intp) % ANGLES
        forward = np.where(down < 0, np.degrees(np.arctan2(-down, np.abs(across))), 0)
        return cls(np.hypot(down, across), bins, forward)


def _outermost(plane: Mask, seen: _Directions) -> Mask:
    """Return where, seen from the centre, no lung lies further out, to the side and to the back alone.

    Seen from the middle of the chest, heart and mediastinum lie in front of lung; the chest wall never does.
    """
    last = np.zeros(ANGLES, np.float32)
    np.maximum.at(last, seen.bins[plane], seen.radius[plane])
    last = _bridged(last)
    return np.asarray((seen.radius >= last[seen.bins]) & (seen.forward <= FORWARD_DEGREES))


def _bridged(last: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give the directions without any lung the radius that lies between those of their neighbours."""
    seen = np.flatnonzero(last)
    turns = np.concatenate([seen - ANGLES, seen, seen + ANGLES])
    return np.interp(np.arange(ANGLES), turns, np.tile(last[seen], 3)).astype(np.float32)
