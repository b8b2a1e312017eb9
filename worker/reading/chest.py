"""Decides by their pixels whether the images show a chest, because BodyPartExamined is often absent or wrong."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import convex_hull_image

from worker.errors import InputRejected
from worker.reading.volume import CTVolume

GRID_MM = 4.0
# The distance between the slices that are looked at, about.
APART_MM = 8.0
TISSUE_HU = -400.0
# Lung is emptier than fat and fuller than air; bowel gas, sinuses and the air around the patient are emptier.
LUNG_HU = (-960.0, -500.0)
# Mid-chest slices of adults hold 150 to 250 cm² of it, those of lungs destroyed by pneumonia 20 to 40; slices of the
# upper abdomen hold up to 16, of the head hardly any. The lung segmentation refuses most of what passes wrongly.
LEAST_AREA_CM2 = 20.0
# So many slices have to show lung: a single one may show a loop of bowel full of stool.
LEAST_SLICES = 2
IN_PLANE = ndimage.generate_binary_structure(2, 2)
Plane = NDArray[np.float32]


def sampled(count: int, step_mm: float) -> range:
    """Return which of ``count`` slices, ``step_mm`` apart, are looked at."""
    return range(0, count, max(1, min(round(APART_MM / step_mm), count // 10)))


def lung_areas_cm2(hu: NDArray[np.int16], spacing_mm: tuple[float, float]) -> list[float]:
    """Return the area that is like lung and lies inside the body, for each slice.

    Parameters
    ----------
    hu
        (slices, rows, columns).
    spacing_mm
        Of (rows, columns).
    """
    factors = [max(1, round(GRID_MM / step)) for step in spacing_mm]
    cell_cm2 = spacing_mm[0] * factors[0] * spacing_mm[1] * factors[1] / 100
    return [float(np.count_nonzero(_lung_like(_block_means(plane, factors)))) * cell_cm2 for plane in hu]


def shows_lung(areas_cm2: Sequence[float]) -> bool:
    """Whether slices with such areas of lung are slices of a chest, or of part of one."""
    return sum(area >= LEAST_AREA_CM2 for area in areas_cm2) >= LEAST_SLICES


def require(volume: CTVolume) -> None:
    """Refuse slices that show no lung.

    Raises
    ------
    InputRejected
        ``not_chest``.
    """
    slice_mm, *in_plane_mm = volume.spacing_mm
    looked_at = volume.hu[:: sampled(len(volume.hu), slice_mm).step]
    areas_cm2 = lung_areas_cm2(looked_at, (in_plane_mm[0], in_plane_mm[1]))
    if not shows_lung(areas_cm2):
        raise no_chest(areas_cm2)


def no_chest(areas_cm2: Sequence[float]) -> InputRejected:
    """Return the refusal of slices with such areas of lung."""
    return InputRejected(
        "The images show no chest: hardly any slice holds lung, whatever the tags say; send the chest CT.",
        code="not_chest",
        detail={
            "largest_lung_area_cm2": round(max(areas_cm2, default=0.0), 1),
            "least_area_cm2": LEAST_AREA_CM2,
            "slices_looked_at": len(areas_cm2),
        },
    )


def _block_means(plane: NDArray[np.int16], factors: Sequence[int]) -> Plane:
    rows, columns = (n // k for n, k in zip(plane.shape, factors, strict=True))
    inside = plane[: rows * factors[0], : columns * factors[1]]
    return np.asarray(inside.reshape(rows, factors[0], columns, factors[1]).mean(axis=(1, 3), dtype=np.float32))


def _lung_like(plane: Plane) -> NDArray[np.bool_]:
    body = _body(plane)
    if not body.any():
        return body
    # The blurred edge of bowel gas is as dense as lung, and so is that of the skin: neither is wider than two cells.
    return np.asarray(ndimage.binary_opening(body & (plane > LUNG_HU[0]) & (plane < LUNG_HU[1]), IN_PLANE))


def _body(plane: Plane) -> NDArray[np.bool_]:
    """Return the convex hull of the largest piece of tissue: lung cut open by the edge of the field is inside."""
    labels, count = ndimage.label(ndimage.binary_opening(plane > TISSUE_HU))
    if count == 0:
        return np.zeros(plane.shape, np.bool_)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(convex_hull_image(labels == int(sizes.argmax())))
