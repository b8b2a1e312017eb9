"""The rib cage as a measure of the lungs: between lung and ribs lie millimetres, unless the lung is solid there."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from worker.analysis.lungs.coarse import CoarseVolume, Mask

BONE_HU = 180.0
# The spine is no part of the wall that is looked at; nor is what lies further forward than this: heart and sternum.
SPINE_MM, FORWARD_DEGREES = 35.0, 25.0
SMALLEST_AREA_MM2 = 3000.0
ANGLES, NEIGHBOUR_ANGLES = 180, 5
# Ribs lie this far apart at most: one of them is near every place of the wall.
RIB_SPACING_MM = 28.0
# Gaps deeper than this are shoulder blades and arms behind the apex, not the ribs.
GAP_MM = (12.0, 30.0)
Gaps = NDArray[np.float32]


def gap_pct(grid: CoarseVolume, lung: Mask, middle: float) -> float:
    """Return over how much of its side and back, in percent, the lung does not reach the ribs; of the worse side.

    Parameters
    ----------
    lung
        Both lungs.
    middle
        Column half-way between the sides of the body.
    """
    rows = np.flatnonzero(lung.any(axis=(0, 2)))
    if len(rows) == 0:
        return 0.0
    gaps = _to_the_nearest_rib(grid, lung, (float(rows[0] + rows[-1]) / 2, middle))
    sides = np.split(gaps, [ANGLES // 4, 3 * ANGLES // 4], axis=1)
    right, left = np.concatenate((sides[0], sides[2]), axis=1), sides[1]
    return max(_share(right), _share(left))


def _share(gaps: Gaps) -> float:
    seen = gaps[np.isfinite(gaps)]
    return 100 * float(((seen > GAP_MM[0]) & (seen < GAP_MM[1])).mean()) if seen.size else 0.0


def _to_the_nearest_rib(grid: CoarseVolume, lung: Mask, centre: tuple[float, float]) -> Gaps:
    """Return the gap in mm by slice and direction, from the right over the front; infinite where no rib is seen."""
    down, across = (
        (places - middle) * step
        for places, middle, step in zip(
            np.indices(lung.shape[1:], dtype=np.float32), centre, grid.spacing_mm[1:], strict=True
        )
    )
    radius, angle = np.hypot(down, across), np.arctan2(down, across)
    bins = ((angle + np.pi) * (ANGLES / 2 / np.pi)).astype(np.intp) % ANGLES
    gaps = np.full((len(lung), ANGLES), np.inf, np.float32)
    least = SMALLEST_AREA_MM2 / (grid.spacing_mm[1] * grid.spacing_mm[2])
    for index in np.flatnonzero(lung.sum(axis=(1, 2)) >= least):
        last, first = np.zeros(ANGLES, np.float32), np.full(ANGLES, np.inf, np.float32)
        np.maximum.at(last, bins[lung[index]], radius[lung[index]])
        bone = (grid.hu[index] > BONE_HU) & (radius > last[bins]) & (last[bins] > 0) & (np.abs(across) > SPINE_MM)
        np.minimum.at(first, bins[bone], radius[bone])
        gaps[index] = first - last
    directions = (np.arange(ANGLES) + 0.5) * (360 / ANGLES) - 180
    gaps[:, (directions < -FORWARD_DEGREES) & (directions > FORWARD_DEGREES - 180)] = np.inf
    reach = 2 * round(RIB_SPACING_MM / 2 / grid.spacing_mm[0]) + 1
    return np.asarray(ndimage.minimum_filter(gaps, (reach, NEIGHBOUR_ANGLES)), np.float32)
