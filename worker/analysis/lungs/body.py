"""The body with everything inside its skin, also where the field of view cuts through lung."""

import numpy as np

from worker.analysis.lungs import neighbours, pieces
from worker.analysis.lungs.coarse import CoarseVolume, Mask

BODY_HU = -500.0
# Lung that the edge of the field cuts open lies outside the skin; air around the patient is emptier than it.
LUNG_HU = (-940.0, -500.0)
LEAST_LUNG_ML = 50.0
# Skin is blurred over a voxel or two, and no lung is as thin.
SKIN_VOXELS = 2


def find(grid: CoarseVolume) -> Mask:
    """Return the body, slice by slice without holes; empty where the images show nothing but air."""
    # Opened first: sheets and clothes that touch the skin would enclose air with it.
    labels, count = pieces.label(neighbours.opened(grid.hu > BODY_HU, neighbours.IN_PLANE))
    if count == 0:
        return np.zeros(grid.hu.shape, np.bool_)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    body = np.asarray(labels == int(sizes.argmax()))
    return _with_cut_lung(body | pieces.holes(body), grid)


def middle_column(body: Mask) -> float:
    """Return the column half-way between the right and the left side of the body."""
    columns = np.flatnonzero(body.any(axis=(0, 1)))
    return float(columns[0] + columns[-1]) / 2


def _with_cut_lung(body: Mask, grid: CoarseVolume) -> Mask:
    """Add what is open to the edge of the field and goes on as lung inside the body in other slices."""
    like_lung = (grid.hu > LUNG_HU[0]) & (grid.hu < LUNG_HU[1])
    outside = neighbours.opened(like_lung & ~body, neighbours.IN_PLANE, SKIN_VOXELS)
    if not outside.any():
        return body
    labels, count = pieces.label(outside | (body & like_lung))
    inside_ml = np.bincount(labels[body], minlength=count + 1) * grid.voxel_ml
    is_lung = inside_ml >= LEAST_LUNG_ML
    is_lung[0] = False
    cut = outside & is_lung[labels]
    completed = np.asarray(body | cut)
    changed = cut.any(axis=(1, 2))
    completed[changed] |= pieces.holes(completed[changed])
    return completed
