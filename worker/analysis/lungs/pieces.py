"""Connected pieces of masks: voxels that touch by their faces, numbered in the order in which they are met."""

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from worker.analysis.lungs.coarse import Mask

Labels = NDArray[np.integer]
# Neighbours by their edges, inside a slice alone.
WITHIN_SLICES = np.array([np.zeros((3, 3)), ndimage.generate_binary_structure(2, 1), np.zeros((3, 3))])


def label(mask: Mask) -> tuple[Labels, int]:
    """Return the number of the piece at each voxel, 0 outside, and how many there are."""
    labels, count = cc3d.connected_components(mask, connectivity=6, binary_image=True, return_N=True)
    return labels, int(count)


def touched(labels: Labels, count: int, numbers: NDArray[np.integer]) -> Mask:
    """Return the pieces that have one of the numbers."""
    chosen = np.zeros(count + 1, np.bool_)
    chosen[numbers] = True
    chosen[0] = False
    return np.asarray(chosen[labels])


def holes(mask: Mask, largest: float = np.inf) -> Mask:
    """Return what a mask encloses in its slices, each hole of ``largest`` voxels at most."""
    labels, count = ndimage.label(~mask, WITHIN_SLICES)
    is_hole = np.ones(count + 1, np.bool_)
    for edge in (labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]):
        is_hole[edge] = False
    is_hole[0] = False
    if np.isfinite(largest):
        is_hole &= np.bincount(labels.ravel(), minlength=count + 1) <= largest
    return np.asarray(is_hole[labels])
