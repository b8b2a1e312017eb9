"""What a threshold alone calls lung: the lung mask that most simple programs stop at, kept to be compared with."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from worker.reading.volume import CTVolume

AIR_HU = -320
LARGEST = 2


def thresholded(volume: CTVolume) -> NDArray[np.bool_]:
    """Return air that does not touch the border of its slice, the two largest pieces, holes filled slice by slice.

    Bool (slices, rows, columns).
    """
    air = volume.hu < AIR_HU
    for plane in air:
        labels, _ = ndimage.label(plane)
        outside = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
        plane[np.isin(labels, outside)] = False
    labels, _ = ndimage.label(air)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    kept = np.isin(labels, np.argsort(-sizes)[:LARGEST]) & air
    for plane in kept:
        plane[...] = ndimage.binary_fill_holes(plane)
    return np.asarray(kept)
