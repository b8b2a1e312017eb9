"""The faster morphology of the lungs does what scipy does, voxel for voxel."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from worker.analysis.lungs import ball, coarse, neighbours, pieces

CROSS = ndimage.generate_binary_structure(2, 1)[None]


def blobs(seed: int, shape: tuple[int, int, int] = (13, 21, 35)) -> NDArray[np.bool_]:
    """Blobs that touch the edge of the field here and there."""
    noise = np.random.default_rng(seed).normal(size=shape)
    return np.asarray(ndimage.gaussian_filter(noise, 1.5) > 0.15)


@pytest.mark.parametrize(
    ("radius_mm", "spacing_mm"),
    [
        (5.0, (2.0, 2.1, 2.1)),
        (12.0, (2.5, 2.0, 1.9)),
        (30.0, (8.0, 2.0, 2.0)),
        (3.0, (5.0, 1.0, 3.0)),
        (10.0, (2.5, 2.5, 2.5)),
        (1.0, (2.0, 2.0, 2.0)),
    ],
)
def test_a_ball_reaches_what_a_distance_transform_reaches(
    radius_mm: float, spacing_mm: tuple[float, float, float]
) -> None:
    for mask in (blobs(1), blobs(2) & blobs(3) & blobs(4)):
        within = ndimage.distance_transform_edt(~mask, spacing_mm) <= radius_mm
        deeper = ndimage.distance_transform_edt(mask, spacing_mm) > radius_mm
        assert np.array_equal(ball.dilated(mask, radius_mm, spacing_mm), within)
        assert np.array_equal(ball.eroded(mask, radius_mm, spacing_mm), deeper)


def test_an_empty_mask_stays_empty_under_a_ball() -> None:
    assert not ball.dilated(np.zeros((3, 4, 5), np.bool_), 9.0, (1.0, 1.0, 1.0)).any()


@pytest.mark.parametrize("iterations", [1, 2, 5])
@pytest.mark.parametrize("axes", [neighbours.IN_PLANE, neighbours.ALL])
def test_neighbours_are_those_of_a_cross(axes: tuple[int, ...], iterations: int) -> None:
    cross = CROSS if axes == neighbours.IN_PLANE else None
    for mask in (blobs(5), blobs(6)):
        kind = {"structure": cross, "iterations": iterations}
        assert np.array_equal(neighbours.dilated(mask, axes, iterations), ndimage.binary_dilation(mask, **kind))
        assert np.array_equal(neighbours.eroded(mask, axes, iterations), ndimage.binary_erosion(mask, **kind))
        assert np.array_equal(neighbours.opened(mask, axes, iterations), ndimage.binary_opening(mask, **kind))


def test_what_lies_beyond_the_field_may_belong_to_a_mask() -> None:
    mask = blobs(7)
    assert np.array_equal(neighbours.eroded(mask, beyond=True), ndimage.binary_erosion(mask, border_value=1))


def test_pieces_are_numbered_as_by_scipy() -> None:
    mask = blobs(8)
    labels, count = ndimage.label(mask)
    found, found_count = pieces.label(mask)
    assert found_count == count > 3
    assert np.array_equal(found, labels)
    chosen = np.array([0, 2, 3])
    assert np.array_equal(pieces.touched(found, count, chosen), np.isin(labels, [2, 3]))


@pytest.mark.parametrize("largest", [np.inf, 4])
def test_holes_are_those_of_each_slice(largest: float) -> None:
    inner = blobs(9) & blobs(10)
    mask = neighbours.dilated(inner, neighbours.IN_PLANE) & ~inner
    expected = np.zeros_like(mask)
    for target, plane in zip(expected, mask, strict=True):
        labels, _ = ndimage.label(ndimage.binary_fill_holes(plane) & ~plane)
        sizes = np.bincount(labels.ravel())
        target[...] = (labels > 0) & (sizes[labels] <= largest)
    assert expected.any()
    assert np.array_equal(pieces.holes(mask, largest), expected)


@pytest.mark.parametrize("view", ["as stored", "flipped", "turned"])
@pytest.mark.parametrize("spacing_mm", [(1.0, 0.69, 0.69), (0.7, 0.7, 0.6), (5.0, 2.0, 1.1)])
def test_the_coarse_grid_holds_the_means_of_blocks(view: str, spacing_mm: tuple[float, float, float]) -> None:
    stored = np.random.default_rng(10).integers(-1024, 3071, (7, 31, 26)).astype(np.int16)
    hu = {"as stored": stored, "flipped": stored[:, ::-1, ::-1], "turned": np.swapaxes(stored, 1, 2)}[view]
    grid = coarse.shrink(hu, spacing_mm)
    by_z, by_y, by_x = grid.factors
    corner = hu[by_z : 2 * by_z, by_y : 2 * by_y, by_x : 2 * by_x]
    assert grid.hu[1, 1, 1] == pytest.approx(corner.mean(), abs=1e-3)
    last = hu[-(hu.shape[0] % by_z or by_z) :, -(hu.shape[1] % by_y or by_y) :]
    edge = np.pad(last, ((0, 0), (0, -last.shape[1] % by_y), (0, 0)), mode="edge")[..., :by_x]
    assert grid.hu[-1, -1, 0] == pytest.approx(edge.mean(), abs=1e-3)
