"""Finds the carina: the height at which the trachea parts into two main bronchi."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from worker.analysis.lungs.coarse import CoarseVolume, Mask

# Bronchi that go on for so far: a spur of the wall or noise is shorter.
PARTED_MM = 6.0
SMALLEST_MM2 = 20.0
# In thick slices only one bronchus may hang together with the trachea; it leaves the midline faster than any trachea.
LEAVES_MM, WITHIN_MM = 8.0, 12.0


def find(lumen: Mask, grid: CoarseVolume) -> int | None:
    """Return the slice of the full grid in which the trachea parts; None where it is not seen to.

    ``lumen`` is that of trachea and main bronchi on the coarse grid, slices from feet to head.
    """
    # Other gas, as of a wide oesophagus, may run beside the trachea: it is a piece of its own, and never parts.
    pieces, count = ndimage.label(lumen, np.ones((3, 3, 3)))
    found = [_parting(pieces == number, grid) for number in range(1, count + 1)]
    return max((one for one in found if one is not None), default=None)


def _parting(tree: Mask, grid: CoarseVolume) -> int | None:
    enough = max(2, round(PARTED_MM / grid.spacing_mm[0]))
    parted, columns_mm = 0, list[float]()
    for index in np.flatnonzero(tree.any(axis=(1, 2)))[::-1]:
        middle_mm = float(np.nonzero(tree[index])[1].mean()) * grid.spacing_mm[2]
        below = _is_parted(tree[index], grid) or _leaves(middle_mm, columns_mm, grid.spacing_mm[0])
        parted = parted + 1 if below and columns_mm else 0
        if parted == enough:
            return min((int(index) + enough) * grid.factors[0], grid.full_shape[0] - 1)
        if not below:
            columns_mm.append(middle_mm)
    return None


def _leaves(middle_mm: float, columns_mm: Sequence[float], slice_mm: float) -> bool:
    """Whether a slice of the tube lies aside of those shortly above it."""
    near = columns_mm[-max(1, round(WITHIN_MM / slice_mm)) :]
    return bool(near) and abs(middle_mm - near[0]) > LEAVES_MM


def _is_parted(plane: Mask, grid: CoarseVolume) -> bool:
    labels, _ = ndimage.label(plane, np.ones((3, 3)))
    areas = np.bincount(labels.ravel())[1:] * grid.spacing_mm[1] * grid.spacing_mm[2]
    return int((areas >= SMALLEST_MM2).sum()) >= 2
