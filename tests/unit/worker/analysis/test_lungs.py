"""The lung segmentation, on chests of ellipsoids whose lungs are known to the voxel."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from worker.analysis import lungs
from worker.analysis.lungs import coarse, recovery
from worker.analysis.records import LEFT_LUNG, RIGHT_LUNG, LungMask
from worker.errors import InputRejected
from worker.reading.volume import CTVolume

SPACING_MM = (6.0, 3.0, 3.0)
SHAPE = (36, 78, 116)
AIR, LUNG, TISSUE = -1000.0, -850.0, 45.0
Field = NDArray[np.float64]
Mask = NDArray[np.bool_]


def axes() -> tuple[Field, Field, Field]:
    """Millimetres from the middle: up, backwards, to the left."""
    z, y, x = (np.arange(n) * step - (n - 1) * step / 2 for n, step in zip(SHAPE, SPACING_MM, strict=True))
    return z[:, None, None], y[None, :, None], x[None, None, :]


def ellipsoid(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Mask:
    return sum(((axis - c) / r) ** 2 for axis, c, r in zip(axes(), centre, radii, strict=True)) <= 1


def lung_of(side: int, shrunk_mm: float = 0.0) -> Mask:
    return ellipsoid((0, 0, side * 72), (90 - shrunk_mm, 75 - shrunk_mm, 50 - shrunk_mm))


RIGHT, LEFT = lung_of(-1), lung_of(1)
RIM = (RIGHT | LEFT) & ~(lung_of(-1, 12) | lung_of(1, 12))


def trachea(radius_mm: float = 8.0) -> Mask:
    """A tube from above down to the middle of the chest, with a bronchus into each lung."""
    z, y, x = axes()
    tube = (z > 0) & (np.hypot(y, x) <= radius_mm)
    bronchi = (np.hypot(y, z + 0.4 * np.abs(x)) <= radius_mm - 2) & (np.abs(x) <= 30)
    return tube | bronchi


def healthy() -> Field:
    """HU of a body with two lungs, trachea and main bronchi."""
    _, y, x = axes()
    body = np.broadcast_to(np.hypot(y / 108, x / 160) <= 1, SHAPE)
    hu = np.where(body, TISSUE, AIR)
    hu[RIGHT | LEFT] = LUNG
    hu[trachea(10.0) & ~trachea()] = TISSUE
    hu[trachea()] = AIR
    return hu


@dataclass(frozen=True)
class Painted:
    """A healthy chest with one thing changed."""

    where: Mask
    hu: float

    def volume(self) -> CTVolume:
        hu = healthy()
        hu[self.where] = self.hu
        return as_volume(hu)


def as_volume(hu: Field) -> CTVolume:
    """Add mild noise and an affine: supine, head first."""
    noisy = hu + np.random.default_rng(7).normal(0, 12, hu.shape)
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = (*SPACING_MM, 1.0)
    uids = tuple(f"2.25.{index + 1}" for index in range(hu.shape[0]))
    return CTVolume(np.clip(np.round(noisy), -1024, 3071).astype(np.int16), affine, uids, "2.25.999", 2.0)


@cache
def healthy_volume() -> CTVolume:
    return as_volume(healthy())


@cache
def healthy_lungs() -> LungMask:
    return lungs.segment(healthy_volume())


def overlap(one: Mask, other: Mask) -> float:
    """Dice."""
    return 2 * float((one & other).sum()) / float(one.sum() + other.sum())


def flags_of(volume: CTVolume) -> dict[str, float | None]:
    return {flag.code: flag.value for flag in lungs.segment(volume).flags}


def test_healthy_lungs_are_found_each_on_its_side() -> None:
    labels = healthy_lungs().labels
    assert labels.dtype == np.uint8
    assert overlap(labels == RIGHT_LUNG, RIGHT & ~trachea(10)) > 0.98
    assert overlap(labels == LEFT_LUNG, LEFT & ~trachea(10)) > 0.98


def test_healthy_lungs_have_ellipsoid_volume_on_a_fine_grid() -> None:
    rough = healthy_volume()
    fine = rough.hu.repeat(3, axis=1).repeat(3, axis=2)
    volume = replace(rough, hu=fine, affine=rough.affine @ np.diag([1, 1 / 3, 1 / 3, 1]))
    expected_ml = 2 * 4 / 3 * np.pi * 90 * 75 * 50 / 1000
    labels = lungs.segment(volume).labels
    assert (labels > 0).sum() * volume.voxel_ml == pytest.approx(expected_ml, rel=0.02)
    assert (labels[trachea().repeat(3, axis=1).repeat(3, axis=2)] > 0).mean() < 0.01


def test_trachea_and_main_bronchi_are_left_out() -> None:
    labels = healthy_lungs().labels
    assert (labels[trachea()] > 0).mean() < 0.02


def test_a_trachea_blurred_to_lung_density_is_left_out() -> None:
    labels = lungs.segment(Painted(trachea(), -900.0).volume()).labels
    assert (labels[trachea()] > 0).mean() < 0.05


def test_a_trachea_below_a_closed_glottis_is_left_out() -> None:
    z, _, _ = axes()
    glottis = trachea() & (z > 76) & (z < 90)
    hu = healthy()
    hu[trachea()], hu[glottis] = -900.0, TISSUE
    labels = lungs.segment(as_volume(hu)).labels
    assert (labels[trachea() & ~glottis] > 0).mean() < 0.05


@pytest.mark.parametrize("density_hu", [-500.0, -250.0])
def test_a_dense_band_under_the_pleura_belongs_to_the_lung(density_hu: float) -> None:
    _, y, _ = axes()
    band = RIM & (y > 25)
    found = lungs.segment(Painted(band, density_hu).volume()).labels > 0
    assert found[band].mean() > 0.95
    assert overlap(found, (RIGHT | LEFT) & ~trachea(10)) > 0.97


def test_most_of_a_patch_nearly_as_dense_as_fat_is_recovered() -> None:
    patch = ellipsoid((0, 62, -72), (18, 14, 18)) & RIGHT
    found = lungs.segment(Painted(patch, -165.0).volume()).labels > 0
    assert found[patch].mean() > 0.5


def test_a_nearly_solid_lower_half_of_both_lungs_is_lung() -> None:
    z, _, _ = axes()
    base = (RIGHT | LEFT) & np.broadcast_to(z < 0, SHAPE)
    found = lungs.segment(Painted(base, -250.0).volume()).labels > 0
    assert found[base & ~trachea(10)].mean() > 0.95
    assert overlap(found, (RIGHT | LEFT) & ~trachea(10)) > 0.97


@pytest.mark.parametrize(("has_gas", "followed"), [(False, True), (True, False)])
def test_dense_tissue_is_followed_deep_unless_it_holds_gas(has_gas: bool, followed: bool) -> None:
    grid = coarse.CoarseVolume(np.zeros((1, 9, 60), np.float32), (1, 1, 1), (2.0, 2.0, 2.0), (1, 9, 60))
    lung, dense, gas = (np.zeros(grid.hu.shape, np.bool_) for _ in range(3))
    lung[..., :10] = dense[..., :50] = True
    gas[:, 3:6, 38:42] = has_gas
    found = recovery.grow_within(lung, dense & ~gas, gas, grid)
    rim = 10 + round(recovery.DENSE_RIM_MM / 2)
    assert found[..., :rim].all()
    assert (found[..., rim:50] & ~gas[..., rim:50]).any() == followed
    assert not found[..., 50:].any()


def test_the_chest_wall_behind_healthy_lung_is_not_taken() -> None:
    found = healthy_lungs().labels > 0
    assert (found & ~(RIGHT | LEFT)).sum() < 0.005 * found.sum()


def test_the_heart_between_the_lungs_is_not_hulled() -> None:
    heart = ellipsoid((-20, -25, 25), (45, 40, 50))
    found = lungs.segment(Painted(heart, TISSUE).volume()).labels > 0
    assert found[heart].mean() < 0.03


def test_the_dome_of_the_liver_is_an_island_and_no_lung() -> None:
    dome = ellipsoid((-75, 0, -72), (60, 45, 32))
    found = lungs.segment(Painted(dome, 60.0).volume()).labels > 0
    assert found[dome & RIGHT].mean() < 0.03


def test_vessels_inside_the_lung_are_filled() -> None:
    z, y, x = axes()
    vessel = (np.hypot(y - 20, z - 10) <= 4) & (np.abs(x - 72) < 35)
    labels = lungs.segment(Painted(vessel, 60.0).volume()).labels
    assert (labels[vessel] == LEFT_LUNG).mean() > 0.97


def test_lungs_that_touch_are_parted() -> None:
    z, y, x = axes()
    bridge = (np.abs(x) < 36) & (np.abs(y + 28) < 6) & (np.abs(z) < 40)
    labels = lungs.segment(Painted(bridge & ~trachea(10), LUNG).volume()).labels
    assert overlap(labels == RIGHT_LUNG, RIGHT) > 0.95
    assert overlap(labels == LEFT_LUNG, LEFT) > 0.95


@pytest.mark.parametrize("radius_mm", [5.0, 7.5, 10.0])
def test_air_in_the_oesophagus_is_no_lung(radius_mm: float) -> None:
    _, y, x = axes()
    gullet = np.broadcast_to((np.hypot(y - 35, x - 6) <= radius_mm), SHAPE)
    found = lungs.segment(Painted(gullet & ~LEFT & ~RIGHT, AIR).volume()).labels > 0
    assert found[gullet & ~LEFT & ~RIGHT].mean() < 0.02


@pytest.mark.parametrize("radius_mm", [18.0, 28.0])
def test_gas_in_the_stomach_is_no_lung(radius_mm: float) -> None:
    stomach = ellipsoid((-90 - radius_mm / 2 + 8, -15, 50), (radius_mm, radius_mm, radius_mm + 6)) & ~lung_of(1, -5)
    found = lungs.segment(Painted(stomach, AIR).volume()).labels > 0
    assert stomach.sum() > 100
    assert found[stomach].mean() < 0.02


def test_a_large_stomach_behind_a_blurred_diaphragm_is_no_lung() -> None:
    stomach = ellipsoid((-88, -20, 72), (40, 60, 45)) & ~lung_of(1, -10)
    hu = healthy()
    hu[stomach] = AIR
    hu = ndimage.gaussian_filter(hu, 0.7)
    assert stomach.sum() * np.prod(SPACING_MM) / 1000 > 100
    assert (lungs.segment(as_volume(hu)).labels[stomach] > 0).mean() < 0.02


def test_a_flat_oesophagus_that_holds_no_pure_gas_is_no_lung() -> None:
    _, y, x = axes()
    gullet = np.broadcast_to((np.hypot((y - 32) / 6, (x - 4) / 9) <= 1), SHAPE) & ~RIGHT & ~LEFT
    found = lungs.segment(Painted(gullet, -880.0).volume()).labels > 0
    assert found[gullet].mean() < 0.02


def test_a_bulla_under_the_chest_wall_is_lung() -> None:
    bulla = ellipsoid((20, 0, 108), (30, 35, 24)) & LEFT
    found = lungs.segment(Painted(bulla, AIR).volume()).labels > 0
    assert found[bulla].mean() > 0.95


@pytest.mark.parametrize(
    ("swapped", "rows_step", "columns_step"), [(False, -1, -1), (False, 1, -1), (True, 1, 1), (True, -1, 1)]
)
def test_turned_images_give_the_same_lungs_in_the_same_place(swapped: bool, rows_step: int, columns_step: int) -> None:
    straight = healthy_volume()
    turned = straight.hu[:, ::rows_step, ::columns_step]
    affine = straight.affine.copy()
    affine[:, 1] *= rows_step
    affine[:, 2] *= columns_step
    if swapped:
        turned, affine = np.swapaxes(turned, 1, 2), affine[:, [0, 2, 1, 3]]
    labels = lungs.segment(replace(straight, hu=turned, affine=affine)).labels
    back = np.swapaxes(labels, 1, 2) if swapped else labels
    np.testing.assert_array_equal(back[:, ::rows_step, ::columns_step], healthy_lungs().labels)


@pytest.mark.parametrize("hu", [-1024.0, 40.0])
def test_images_without_lungs_are_refused(hu: float) -> None:
    with pytest.raises(InputRejected) as refusal:
        lungs.segment(as_volume(np.full((12, 64, 64), hu)))
    assert refusal.value.code == "no_lungs"
    assert refusal.value.detail["largest_air_ml"] == 0.0


def test_a_belly_with_gas_is_refused() -> None:
    volume = as_volume(np.where(ellipsoid((0, -30, 20), (30, 25, 40)), AIR, np.where(RIGHT | LEFT, TISSUE, healthy())))
    with pytest.raises(InputRejected, match="no lungs"):
        lungs.segment(volume)


def test_a_single_lung_is_one_lung_and_a_flag() -> None:
    mask = lungs.segment(Painted(LEFT, TISSUE).volume())
    assert set(np.unique(mask.labels)) == {0, RIGHT_LUNG}
    assert "one_lung_only" in {flag.code for flag in mask.flags}


def test_a_small_second_lung_is_kept_and_flagged() -> None:
    small = ellipsoid((0, 0, 85), (55, 45, 28))
    mask = lungs.segment(Painted(LEFT & ~small, TISSUE).volume())
    assert overlap(mask.labels == LEFT_LUNG, small) > 0.93
    ratio = {flag.code: flag.value for flag in mask.flags}["unusual_lung_ratio"]
    assert ratio == pytest.approx(55 * 45 * 28 / (90 * 75 * 50), rel=0.1)


def test_a_lung_cut_by_the_edge_of_the_field_is_kept_and_flagged() -> None:
    straight = healthy_volume()
    cut = 20
    volume = replace(straight, hu=straight.hu[:, :, cut:])
    mask = lungs.segment(volume)
    assert overlap(mask.labels == RIGHT_LUNG, RIGHT[:, :, cut:]) > 0.95
    assert "lung_at_field_edge" in {flag.code for flag in mask.flags}


def test_a_few_slices_are_measured_and_flagged() -> None:
    straight = healthy_volume()
    volume = replace(straight, hu=straight.hu[16:21], sop_uids=straight.sop_uids[16:21])
    mask = lungs.segment(volume)
    assert overlap(mask.labels > 0, (RIGHT | LEFT)[16:21]) > 0.95
    assert {flag.code for flag in mask.flags} >= {"few_slices", "partial_coverage"}


@pytest.mark.parametrize("first", [5, 11, 22])
def test_a_few_slices_are_segmented_as_in_the_whole_chest(first: int) -> None:
    straight = healthy_volume()
    part = slice(first, first + 5)
    labels = lungs.segment(replace(straight, hu=straight.hu[part], sop_uids=straight.sop_uids[part])).labels
    for side in (RIGHT_LUNG, LEFT_LUNG):
        assert overlap(labels == side, healthy_lungs().labels[part] == side) > 0.97


def test_a_whole_healthy_chest_of_thin_slices_has_no_flag() -> None:
    straight = healthy_volume()
    halved = straight.affine @ np.diag([0.5, 1, 1, 1])
    thin = replace(straight, hu=straight.hu.repeat(2, axis=0), affine=halved, slice_thickness_mm=3.0)
    assert flags_of(thin) == {}


def test_slices_with_gaps_are_flagged_with_their_distance() -> None:
    assert flags_of(replace(healthy_volume(), slice_thickness_mm=1.0))["gapped"] == pytest.approx(6.0)
    assert "gapped" not in flags_of(replace(healthy_volume(), slice_thickness_mm=5.0))
    assert "gapped" not in flags_of(replace(healthy_volume(), slice_thickness_mm=None))


def test_thick_and_spaced_slices_are_flagged() -> None:
    assert {flag.code: flag.value for flag in healthy_lungs().flags} == {
        "thick_slices": pytest.approx(6.0),
        "gapped": pytest.approx(6.0),
    }
    assert flags_of(replace(healthy_volume(), slice_thickness_mm=8.0))["thick_slices"] == pytest.approx(8.0)


def test_much_dense_disease_is_flagged_with_its_share() -> None:
    shell = (RIGHT | LEFT) & ~(lung_of(-1, 9) | lung_of(1, 9))
    share = flags_of(Painted(shell, -250.0).volume())["much_recovered"]
    assert share == pytest.approx(100 * shell.sum() / (RIGHT | LEFT).sum(), abs=8)


@pytest.mark.parametrize(("depth_mm", "is_flagged"), [(0.0, False), (20.0, True)])
def test_a_solid_back_of_a_lung_under_the_ribs_is_flagged(depth_mm: float, is_flagged: bool) -> None:
    z, y, _ = axes()
    wall = (lung_of(-1, -11) | lung_of(1, -11)) & ~lung_of(-1, -3) & ~lung_of(1, -3)
    hu = healthy()
    hu[wall & (np.mod(z + 200, 24) < 9)] = 400.0
    hu[RIGHT & ~lung_of(-1, depth_mm) & (y > 0) & (np.abs(z) < 60)] = TISSUE
    assert ("dense_at_ribs" in flags_of(as_volume(hu))) == is_flagged
