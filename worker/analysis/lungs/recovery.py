"""Adds dense disease, which a threshold takes for chest wall, to the lung mask, by its density and the lung's shape."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import convex_hull_image

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
IN_PLANE = ndimage.generate_binary_structure(2, 1)[None]
Point = tuple[float, float]


def lighter_than_fat(grid: CoarseVolume) -> Mask:
    """Return what is lighter than fat, in its own voxel or on average nearby, without thin layers of it."""
    nearby = ndimage.gaussian_filter(grid.hu, [SMOOTH_MM / step for step in grid.spacing_mm])
    lighter = np.minimum(nearby, grid.hu) < LIGHTER_THAN_FAT_HU
    return np.asarray(ndimage.binary_opening(lighter, IN_PLANE))


def grow_within(lung: Mask, possible: Mask, gas: Mask, grid: CoarseVolume) -> Mask:
    """Grow one lung inside what is possible: a rim of it, and what lies deeper unless it holds gas, as bowel does."""
    if not lung.any():
        return lung
    rim = _grown_within(lung, possible, DENSE_RIM_MM, grid)
    deeper = _grown_within(rim, possible, DENSE_REACH_MM - DENSE_RIM_MM, grid) & ~rim
    labels, count = ndimage.label(deeper)
    if count == 0:
        return rim
    bowel = np.unique(labels[ndimage.binary_dilation(gas, iterations=GAS_EDGE_VOXELS)])
    return rim | (deeper & ~np.isin(labels, bowel))


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
    for plane in inner:
        holes, _ = ndimage.label(ndimage.binary_fill_holes(plane) & ~plane)
        small = np.bincount(holes.ravel()) <= largest
        plane[small[holes] & (holes > 0)] = True
    filled[box] = inner
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
    hull = np.zeros_like(inner)
    for index, plane in enumerate(inner):
        if plane.any():
            hull[index] = convex_hull_image(plane)
    near = grown(inner, DEEPEST_MM, grid.spacing_mm)
    rounded = closed(inner, DISEASE_CLOSING_MM, grid.spacing_mm)
    added = (rounded | (hull & near)) & possible & ~inner
    for number in np.flatnonzero(added.any(axis=(1, 2))):
        index = int(number)
        added[index] &= _outermost(inner[index], corner, grid.spacing_mm[1:])
    result = lung.copy()
    # What is added must be a piece of some size, not the ragged edge of the pleura.
    result[box] |= ndimage.binary_opening(added, IN_PLANE)
    return result


def _outermost(plane: Mask, centre: Point, spacing_mm: tuple[float, float]) -> Mask:
    """Return where, seen from the centre, no lung lies further out, to the side and to the back alone.

    Seen from the middle of the chest, heart and mediastinum lie in front of lung; the chest wall never does.
    """
    rows, columns = np.indices(plane.shape, dtype=np.float32)
    down, across = (rows - centre[0]) * spacing_mm[0], (columns - centre[1]) * spacing_mm[1]
    radius = np.hypot(down, across)
    angle = np.degrees(np.arctan2(down, across))
    bins = ((angle + 180) * (ANGLES / 360)).astype(np.intp) % ANGLES
    last = np.zeros(ANGLES, np.float32)
    np.maximum.at(last, bins[plane], radius[plane])
    last = _bridged(last)
    forward = np.where(down < 0, np.degrees(np.arctan2(-down, np.abs(across))), 0)
    return np.asarray((radius >= last[bins]) & (forward <= FORWARD_DEGREES))


def _bridged(last: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give the directions without any lung the radius that lies between those of their neighbours."""
    seen = np.flatnonzero(last)
    turns = np.concatenate([seen - ANGLES, seen, seen + ANGLES])
    return np.interp(np.arange(ANGLES), turns, np.tile(last[seen], 3)).astype(np.float32)
