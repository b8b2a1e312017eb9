"""Gas that is not in the lungs: oesophagus, stomach, bowel, and a trachea that was not recognised."""

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

from worker.analysis.lungs import neighbours, pieces
from worker.analysis.lungs.coarse import CoarseVolume, Mask, around

# Gas is emptier than lung; a thin oesophagus holds no voxel that is gas alone.
REGION_HU, OESOPHAGUS_HU = -930.0, -800.0
OESOPHAGUS_MM = 25.0
TISSUE_HU, LIGHTER_THAN_FAT_HU = -320.0, -180.0
SMALLEST_ML, OESOPHAGUS_ML = 0.5, 40.0
# Larger regions are gas only if no vessel runs through them; else they are emphysema.
LARGE_ML, SOLID_SHARE, VESSEL_VOXELS = 150.0, 0.97, 3
# A bulla or a bronchus in the lung has lung on one side at least; oesophagus, stomach and bowel have walls all around.
WALLED_SHARE = 0.93
EDGE_VOXELS, WALL_VOXELS, RIM_VOXELS = 1, 2, 5
GAS, LUNG = 1, 2


def enclosed(grid: CoarseVolume, inside: Mask, middle: float) -> Mask:
    """Return gas that has a wall all around, with its blurred rim up to the ridge of that wall.

    Parameters
    ----------
    inside
        Where to look: the body without the airways.
    middle
        Column half-way between the sides of the body.
    """
    tissue = grid.hu > TISSUE_HU
    found = _walled(inside & (grid.hu < REGION_HU), tissue, grid, (SMALLEST_ML, np.inf))
    central = _walled(inside & (grid.hu < OESOPHAGUS_HU), tissue, grid, (SMALLEST_ML, OESOPHAGUS_ML))
    columns = np.abs(np.arange(grid.hu.shape[2]) - middle) * grid.spacing_mm[2] < OESOPHAGUS_MM
    labels, count = pieces.label(central)
    found |= central & ~pieces.touched(labels, count, labels[..., ~columns])
    return _with_rim(found, inside, grid)


def _walled(air: Mask, tissue: Mask, grid: CoarseVolume, size_ml: tuple[float, float]) -> Mask:
    labels, _ = pieces.label(air)
    sizes_ml = np.bincount(labels.ravel()) * grid.voxel_ml
    margin = EDGE_VOXELS + WALL_VOXELS + 1
    walled = np.zeros_like(air)
    spans = ndimage.find_objects(labels)
    for label in np.flatnonzero((sizes_ml[1:] >= size_ml[0]) & (sizes_ml[1:] <= size_ml[1])) + 1:
        box = tuple(slice(max(0, s.start - margin), s.stop + margin) for s in spans[label - 1])
        region = labels[box] == label
        if _has_wall(region, tissue[box]) and (sizes_ml[label] < LARGE_ML or _is_solid(region)):
            walled[box] |= region
    return walled


def _has_wall(region: Mask, tissue: Mask) -> bool:
    """Whether nearly everywhere past the blurred edge of a region there is tissue within the thickness of a wall."""
    edge = neighbours.dilated(region, iterations=EDGE_VOXELS)
    outside = neighbours.dilated(edge) & ~edge
    near = neighbours.dilated(tissue, iterations=WALL_VOXELS)
    return bool(outside.any() and near[outside].mean() > WALLED_SHARE)


def _is_solid(region: Mask) -> bool:
    padded = np.pad(region, VESSEL_VOXELS)
    closed = ndimage.binary_closing(padded, iterations=VESSEL_VOXELS)
    return float(region.sum()) > SOLID_SHARE * float(closed.sum())


def _with_rim(gas: Mask, inside: Mask, grid: CoarseVolume) -> Mask:
    """Add the blurred rim of gas: what is nearer to it than to lung, seen from the densest voxels in between."""
    if not gas.any():
        return gas
    box = around(gas, 2 * RIM_VOXELS * max(grid.spacing_mm), grid.spacing_mm)
    core, hu = gas[box], grid.hu[box]
    near = neighbours.dilated(core, iterations=RIM_VOXELS)
    far = neighbours.eroded(inside[box] & (hu < TISSUE_HU) & ~near)
    where = inside[box] & (hu < LIGHTER_THAN_FAT_HU) & neighbours.dilated(near)
    markers = np.where(neighbours.dilated(far, iterations=2), LUNG, 0)
    markers[core] = GAS
    flooded = watershed(hu, np.where(where, markers, 0), mask=where)
    whole = gas.copy()
    whole[box] |= (flooded == GAS) | neighbours.dilated(core, iterations=EDGE_VOXELS)
    return whole
