"""Chooses the right and the left lung among the aerated pieces, and separates two lungs that touch."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from worker.analysis.lungs import pieces
from worker.analysis.lungs.coarse import CoarseVolume, Mask, around
from worker.errors import InputRejected

SMALLEST_LUNG_ML = 150.0
# In a stack of a few slices a lung holds less: its area on average, times the height that was imaged.
SMALLEST_AREA_CM2 = 15.0
SMALLEST_PIECE_ML = 8.0
# Gas in stomach or bowel is emptier than lung.
GAS_HU, PIECE_HU = -960.0, -940.0
OESOPHAGUS_MM, CUT_OFF_MM = 25.0, 15.0
NECKS_MM = (2.0, 4.0, 6.0, 8.0, 10.0)
JOINED_SHARE, APART_MM = 0.15, 60.0
Pair = tuple[Mask, Mask]


@dataclass(frozen=True, eq=False)
class _Piece:
    """One connected piece of air and its size."""

    mask: Mask
    ml: float


def choose(aerated: Mask, grid: CoarseVolume, middle: float) -> Pair:
    """Return (right, left) of the aerated lung; one of them may be empty.

    Parameters
    ----------
    aerated
        Air inside the body without the airways.
    middle
        Column half-way between the sides of the body.

    Raises
    ------
    InputRejected
        ``no_lungs``: no piece is as large as a lung.
    """
    found = _pieces(aerated, grid)
    smallest_ml = _smallest_ml(grid)
    if not found or found[0].ml < smallest_ml:
        raise no_lungs(found[0].ml if found else 0.0, smallest_ml)
    parted = _parted(found[0].mask, grid)
    if parted:
        right, left = parted
    else:
        right, left = found[0].mask, np.zeros_like(aerated)
        if _column(right) > middle:
            right, left = left, right
    for piece in found[1:]:
        own, other = (right, left) if _column(piece.mask) < middle else (left, right)
        if _belongs(piece, own if own.any() else other, grid, middle):
            own |= piece.mask
    return right, left


def no_lungs(largest_ml: float, smallest_ml: float = SMALLEST_LUNG_ML) -> InputRejected:
    """Return the refusal of images without lungs."""
    return InputRejected(
        "no lungs were found in the images; send a series of the whole chest",
        code="no_lungs",
        detail={"largest_air_ml": round(largest_ml, 1), "smallest_lung_ml": round(smallest_ml, 1)},
    )


def _smallest_ml(grid: CoarseVolume) -> float:
    height_mm: float = grid.hu.shape[0] * grid.spacing_mm[0]
    return min(SMALLEST_LUNG_ML, SMALLEST_AREA_CM2 * height_mm / 10)


def _pieces(aerated: Mask, grid: CoarseVolume) -> list[_Piece]:
    """Return connected pieces without small ones and gas, the largest first."""
    labels, _ = pieces.label(aerated)
    sizes_ml = np.bincount(labels.ravel()) * grid.voxel_ml
    sizes_ml[0] = 0
    keep = np.flatnonzero(sizes_ml >= min(SMALLEST_PIECE_ML, _smallest_ml(grid)))
    found = [_Piece(labels == label, float(sizes_ml[label])) for label in sorted(keep, key=lambda k: -sizes_ml[k])]
    return [piece for piece in found if grid.hu[piece.mask].mean(dtype=np.float64) > GAS_HU]


def _belongs(piece: _Piece, lung: Mask, grid: CoarseVolume, middle: float) -> bool:
    """Whether a further piece is a lung or, cut off by disease, part of one.

    It lies close to the lung or opposite to it, between its ends, and off the middle where the oesophagus is. A small
    one also holds more than gas: the darkest quarter of bowel is emptier than that of lung, emphysema apart.
    """
    column = _column(piece.mask)
    small = piece.ml < _smallest_ml(grid)
    if abs(column - middle) * grid.spacing_mm[2] < OESOPHAGUS_MM:
        return False
    if small and np.percentile(grid.hu[piece.mask], 25) < PIECE_HU:
        return False
    slices = np.flatnonzero(piece.mask.any(axis=(1, 2)))
    span = np.flatnonzero(lung.any(axis=(1, 2)))
    if not span[0] <= slices.mean() <= span[-1]:
        return False
    same_side = (_column(lung) < middle) == (column < middle)
    return not same_side or _are_near(piece.mask, lung, grid)


def _are_near(piece: Mask, lung: Mask, grid: CoarseVolume) -> bool:
    box = around(piece, CUT_OFF_MM, grid.spacing_mm)
    if not lung[box].any():
        return False
    gap_mm = ndimage.distance_transform_edt(~lung[box], grid.spacing_mm)
    return bool(gap_mm[piece[box]].min() < CUT_OFF_MM)


def _column(mask: Mask) -> float:
    columns = np.flatnonzero(mask.any(axis=(0, 1)))
    return float(columns[0] + columns[-1]) / 2


def _parted(joined: Mask, grid: CoarseVolume) -> Pair | None:
    """Separate two lungs that touch, at the thinnest place between them; return None for a single lung.

    The mask is eroded step by step: two lungs come apart side by side before either of them breaks up.
    """
    box = around(joined, 0.0, grid.spacing_mm)
    inner = joined[box]
    depth = ndimage.distance_transform_edt(inner, grid.spacing_mm)
    for neck_mm in NECKS_MM:
        markers = _side_by_side(depth > neck_mm, grid)
        if markers is not None:
            labels = watershed(-depth, markers, mask=inner)
            right, left = np.zeros_like(joined), np.zeros_like(joined)
            right[box], left[box] = labels == 1, labels == 2
            return right, left
    return None


def _side_by_side(eroded: Mask, grid: CoarseVolume) -> NDArray[np.int32] | None:
    """Return 1 in the right and 2 in the left of two large parts that lie side by side; None where they do not."""
    labels, count = pieces.label(eroded)
    if count < 2:
        return None
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    first, second = np.argsort(-sizes)[:2]
    if sizes[second] < JOINED_SHARE * sizes[first]:
        return None
    right, left = sorted((labels == first, labels == second), key=_column)
    if (_column(left) - _column(right)) * grid.spacing_mm[2] < APART_MM:
        return None
    return np.asarray(right.astype(np.int32) + 2 * left)
