"""Gas that is not in the lungs: oesophagus, stomach, bowel, and a trachea that was not recognised."""

import numpy as np
from scipy import ndimage

from worker.analysis.lungs.coarse import CoarseVolume, Mask

# Gas is emptier than lung; the median is stricter, as the region holds the partial volume of its own edge.
REGION_HU, MEDIAN_HU = -930.0, -960.0
TISSUE_HU = -320.0
# Larger regions as empty as this are emphysema.
SIZE_ML = (0.5, 400.0)
# A bulla or a bronchus in the lung has lung around it, an oesophagus or a stomach has its wall.
TISSUE_SHARE = 0.5
EDGE_VOXELS, SHELL_VOXELS = 1, 3


def enclosed(grid: CoarseVolume, inside: Mask) -> Mask:
    """Return gas that has tissue all around, with one voxel of its blurred edge.

    Parameters
    ----------
    inside
        Where to look: the body without the airways.
    """
    labels, _ = ndimage.label(inside & (grid.hu < REGION_HU))
    sizes_ml = np.bincount(labels.ravel()) * grid.voxel_ml
    gas = np.zeros_like(inside)
    for label, span in enumerate(ndimage.find_objects(labels), start=1):
        if span is None or not SIZE_ML[0] <= sizes_ml[label] <= SIZE_ML[1]:
            continue
        box = tuple(slice(max(0, s.start - SHELL_VOXELS), s.stop + SHELL_VOXELS) for s in span)
        region, hu = labels[box] == label, grid.hu[box]
        edge = ndimage.binary_dilation(region, iterations=EDGE_VOXELS)
        shell = ndimage.binary_dilation(edge, iterations=SHELL_VOXELS - EDGE_VOXELS) & ~edge
        if np.median(hu[region]) < MEDIAN_HU and (hu[shell] > TISSUE_HU).mean() > TISSUE_SHARE:
            gas[box] |= edge
    return gas
