"""The lung segmentation: a threshold, then corrections of everything that a threshold gets wrong.

On a grid of about 2 mm: body, air inside it, airways and other gas taken out, two lungs kept and parted, vessels
filled, dense disease recovered. The border is then refined on the full grid by the half-way value of lung and tissue.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from worker.analysis.lungs import airways, body, cage, carina, coarse, cores, gas, neighbours, pair, quality, recovery
from worker.analysis.lungs.coarse import CoarseVolume, Mask
from worker.analysis.lungs.pair import Pair
from worker.analysis.records import LEFT_LUNG, RIGHT_LUNG, LungMask
from worker.reading.volume import CTVolume

AIR_HU, TISSUE_HU, BONE_HU = -320.0, 40.0, 180.0
# Half-way between lung and tissue: for healthy lung, and for the densest disease.
BORDER_HU = (-400.0, -100.0)
# Where the half-way value is higher than this, the lung nearby is diseased.
DISEASED_BORDER_HU = -320.0
NEARBY_MM = 2.5


@dataclass(frozen=True, eq=False)
class _CoarseLungs:
    """Masks on the coarse grid.

    ``recovered`` holds voxels added by shape alone; ``no_lung`` those that stay outside: airways, other gas, no body.
    """

    right: Mask
    left: Mask
    recovered: Mask
    no_lung: Mask

    @property
    def both(self) -> Mask:
        return self.right | self.left


def segment(volume: CTVolume) -> LungMask:
    """Segment both lungs.

    Raises
    ------
    InputRejected
        ``no_lungs``: nothing that could be a lung lies in the images.
    """
    hu = volume.to_anatomical(volume.hu)
    grid = coarse.shrink(hu, volume.anatomical_spacing_mm)
    inside = body.find(grid)
    if not inside.any():
        raise pair.no_lungs(0.0)
    middle = body.middle_column(inside)
    lumen = airways.find(grid, inside)
    tubes = airways.with_wall(lumen, grid.spacing_mm)
    hollow = gas.enclosed(grid, inside & ~tubes, middle)
    no_lung = tubes | hollow | ~inside
    aerated = pair.choose((grid.hu < AIR_HU) & ~no_lung, grid, middle)
    thresholded_ml = float((aerated[0] | aerated[1]).sum()) * grid.voxel_ml
    completed = _completed(aerated, (no_lung, hollow), grid, middle)
    labels = _refined(hu, grid, completed)
    if not labels.any():
        raise pair.no_lungs(thresholded_ml)
    flags = quality.about(labels, volume, thresholded_ml, cage.gap_pct(grid, completed.both, middle))
    return LungMask(np.ascontiguousarray(volume.from_anatomical(labels)), flags, carina.find(lumen, grid))


def _completed(aerated: Pair, excluded: tuple[Mask, Mask], grid: CoarseVolume, middle: float) -> _CoarseLungs:
    """Let the lungs grow into dense disease, fill vessels, and recover what shape alone can tell.

    ``excluded`` is all that is not lung, and the part of it that is gas of oesophagus, stomach and bowel.
    """
    no_lung, hollow = excluded
    possible = recovery.lighter_than_fat(grid) & ~no_lung
    right = recovery.grow_within(aerated[0], possible & ~aerated[1], hollow, grid)
    left = recovery.grow_within(aerated[1], possible & ~right, hollow, grid)
    grown = right | left
    right = recovery.fill_vessels(right, grid) & ~no_lung & ~left
    left = recovery.fill_vessels(left, grid) & ~no_lung & ~right
    rows = np.flatnonzero((right | left).any(axis=(0, 2)))
    centre = (float(rows[0] + rows[-1]) / 2, middle)
    forbidden = no_lung | (grid.hu > BONE_HU)
    right = recovery.recover(right, forbidden | left, grid, centre)
    left = recovery.recover(left, forbidden | right, grid, centre)
    return _CoarseLungs(right, left, (right | left) & ~grown, no_lung)


def _refined(hu: NDArray[np.int16], grid: CoarseVolume, lungs: _CoarseLungs) -> NDArray[np.uint8]:
    """Bring the coarse lungs to the full grid, inside the box that holds them."""
    labels = np.zeros(hu.shape, np.uint8)
    if not lungs.both.any():
        return labels
    box = coarse.around(lungs.both, 2 * max(grid.spacing_mm), grid.spacing_mm)
    part, full_box = coarse.cropped(grid, box)
    inner = _CoarseLungs(lungs.right[box], lungs.left[box], lungs.recovered[box], lungs.no_lung[box])
    _refine(labels[full_box], hu[full_box], part, inner)
    return labels


def _refine(labels: NDArray[np.uint8], hu: NDArray[np.int16], grid: CoarseVolume, lungs: _CoarseLungs) -> None:
    """Let the image itself decide near an aerated border, voxel by voxel: fill ``labels``, slices on all cores."""
    enlarge = coarse.Enlarger(grid).slice
    deep = neighbours.eroded(lungs.both, beyond=True)
    limit = _border_hu(grid, deep)

    def refine(index: int) -> None:
        right, left = enlarge(lungs.right, index), enlarge(lungs.left, index)
        both = right + left
        inside = both > 0.5
        border = (both > 0.05) & (enlarge(deep, index) < 0.5) & (enlarge(lungs.recovered, index) < 0.25)
        limit_hu = enlarge(limit, index)
        inside = np.where(border, _decisive(hu[index], border, limit_hu) < limit_hu, inside)
        inside &= enlarge(lungs.no_lung, index) < 0.5
        labels[index] = inside * np.where(right >= left, np.uint8(RIGHT_LUNG), np.uint8(LEFT_LUNG))

    cores.for_each(len(hu), refine)


def _decisive(
    image: NDArray[np.int16], border: Mask, limit_hu: NDArray[np.float32]
) -> NDArray[np.int16] | NDArray[np.float32]:
    """Return the value that decides at the border.

    The lines of reticulation are brighter than any limit: there the mean over a few voxels decides.
    """
    diseased = border & (limit_hu > DISEASED_BORDER_HU)
    if not diseased.any():
        return image
    # Whole numbers: the means are the same wherever the box begins.
    rows, columns = ndimage.find_objects(diseased.view(np.uint8))[0]
    box = slice(max(rows.start - 1, 0), rows.stop + 1), slice(max(columns.start - 1, 0), columns.stop + 1)
    decisive = image.astype(np.float32)
    np.copyto(decisive[box], ndimage.uniform_filter(image[box], 3, output=np.float32), where=diseased[box])
    return decisive


def _border_hu(grid: CoarseVolume, deep: Mask) -> NDArray[np.float32]:
    """Return the half-way value between the lung nearby, healthy or diseased, and soft tissue."""
    sigma = [max(NEARBY_MM / step, 1.0) for step in grid.spacing_mm]
    weight = ndimage.gaussian_filter(deep.astype(np.float32), sigma)
    total = ndimage.gaussian_filter(np.where(deep, grid.hu, np.float32(0)), sigma)
    nearby = np.divide(total, weight, out=np.full_like(total, -1000.0), where=weight > 0.01)
    return np.asarray(np.clip((nearby + TISSUE_HU) / 2, *BORDER_HU), np.float32)
