"""Finds trachea and main bronchi by growing a region from the top of the chest, stopped before it leaks into lung."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from worker.analysis.lungs import ball, neighbours, pieces
from worker.analysis.lungs.coarse import CoarseVolume, Mask, around, grown

TRACHEA_AREA_MM2 = (40.0, 900.0)
SEARCHED_SHARE = 0.45
SEED_HU = -850.0
STEPS_HU = range(-960, -780, 15)
# Of the whole tree, and on average in a slice where only a part of it was imaged.
LARGEST_ML, LARGEST_CM2 = 110.0, 10.0
LEAK_FACTOR = 1.6
CENTRE_MM, ROUND_SHARE = 45.0, 0.5
# The apex of a lung is round as well, but widens within less.
TUBE_MM = 25.0
# Lung may touch the trachea on a side or two.
WALL_HU, WALL_SHARE = -500.0, 0.5
WALL_MM, NARROW_MM = 2.0, 3.0


def find(grid: CoarseVolume, body: Mask) -> Mask:
    """Return the lumen of trachea and main bronchi on the coarse grid; empty where no trachea is seen.

    The threshold rises as long as the region grows gently; a jump is a leak through the thin wall of a bronchus.
    """
    tubes = _tubes(grid, body)
    found = np.zeros_like(body)
    if not tubes.any():
        return found
    height_mm = grid.hu.shape[0] * grid.spacing_mm[0]
    tubes_ml = float(tubes.sum()) * grid.voxel_ml
    largest_ml, volume_ml = min(LARGEST_ML, LARGEST_CM2 * height_mm / 10), 0.0
    for threshold in STEPS_HU:
        region = _connected(body & (grid.hu < threshold), tubes)
        grown_ml = float(region.sum()) * grid.voxel_ml
        leaks = volume_ml > 5 and grown_ml > max(volume_ml, tubes_ml) * LEAK_FACTOR + 5
        if grown_ml > largest_ml or leaks:
            break
        found, volume_ml = region, grown_ml
    wide = _wide(found, grid.spacing_mm)
    return wide if _has_wall(wide, grid.hu) else np.zeros_like(body)


def _wide(lumen: Mask, spacing_mm: tuple[float, float, float]) -> Mask:
    """Leave the narrow branches to the lung: those widened by fibrosis belong to what is measured."""
    if not lumen.any():
        return lumen
    box = around(lumen, 0.0, spacing_mm)
    wide = np.zeros_like(lumen)
    wide[box] = ball.eroded(lumen[box], NARROW_MM, spacing_mm)
    return lumen & grown(wide, NARROW_MM + max(spacing_mm[1:]) / 2, spacing_mm)


def _connected(mask: Mask, seeds: Mask) -> Mask:
    labels, count = pieces.label(mask)
    return pieces.touched(labels, count, labels[seeds & mask])


def _tubes(grid: CoarseVolume, body: Mask) -> Mask:
    """Return round air near the middle of slices high in the chest that goes on as a tube from slice to slice.

    A closed glottis or thick secretions cut the trachea in two: every long tube counts, and the longest in any case.
    """
    tubes = np.zeros_like(body)
    slices = np.flatnonzero(body.any(axis=(1, 2)))
    if len(slices) == 0:
        return tubes
    lowest = slices[-1] - int(len(slices) * SEARCHED_SHARE)
    for index in range(int(slices[-1]), int(lowest), -1):
        tubes[index] = _round_air(grid, body, index)
    labels, count = pieces.label(tubes)
    lengths = [(span[0].stop - span[0].start) * grid.spacing_mm[0] for span in ndimage.find_objects(labels)]
    long = [label for label in range(1, count + 1) if lengths[label - 1] >= min(TUBE_MM, max(lengths))]
    return pieces.touched(labels, count, np.array(long, np.intp))


def _round_air(grid: CoarseVolume, body: Mask, index: int) -> Mask:
    """Return the dark core of what may be the trachea in one slice."""
    found = np.zeros(body.shape[1:], np.bool_)
    labels, _ = ndimage.label(body[index] & (grid.hu[index] < SEED_HU))
    columns = np.flatnonzero(body[index].any(axis=0))
    for label, span in enumerate(ndimage.find_objects(labels), start=1):
        region = labels[span] == label
        middle = (span[1].start + span[1].stop - 1) / 2
        off_centre_mm = abs(middle - (columns[0] + columns[-1]) / 2) * grid.spacing_mm[2]
        area_mm2 = float(region.sum()) * grid.spacing_mm[1] * grid.spacing_mm[2]
        is_tube = TRACHEA_AREA_MM2[0] <= area_mm2 <= TRACHEA_AREA_MM2[1] and region.mean() > ROUND_SHARE
        if is_tube and off_centre_mm < CENTRE_MM and _has_wall((labels == label)[None], grid.hu[index : index + 1]):
            found |= labels == label
    return found


def _has_wall(region: Mask, hu: NDArray[np.float32]) -> bool:
    """Whether tissue is around a region, slice by slice and past its blurred edge; around a part of lung is none."""
    edge = neighbours.dilated(region, neighbours.IN_PLANE)
    ring = neighbours.dilated(edge, neighbours.IN_PLANE, iterations=2) & ~edge
    return bool(ring.any() and (hu[ring] > WALL_HU).mean() > WALL_SHARE)


def with_wall(lumen: Mask, spacing_mm: tuple[float, float, float]) -> Mask:
    """Return lumen and wall together, the wall at least one voxel wide.

    Half a voxel lies between the centres of the lumen's last voxels and its true edge.
    """
    if not lumen.any():
        return lumen
    in_plane_mm = max(spacing_mm[1:])
    return grown(lumen, max(WALL_MM + in_plane_mm / 2, in_plane_mm * 1.01), spacing_mm)
