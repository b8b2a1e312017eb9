"""The lung mask of real chests, against a mask by others where there is one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from scipy import ndimage

from worker.analysis import lungs
from worker.analysis.records import LEFT_LUNG, RIGHT_LUNG, LungMask
from worker.reading import series
from worker.reading.volume import CTVolume


def segmented(folder: Path) -> tuple[CTVolume, LungMask]:
    volume = series.read(sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".txt")).volume
    return volume, lungs.segment(volume)


@pytest.fixture(scope="module")
def lidc(real_data: Path) -> tuple[CTVolume, LungMask]:
    return segmented(real_data / "lidc-0001" / "dicom")


@pytest.fixture(scope="module")
def cip(real_data: Path) -> tuple[CTVolume, LungMask]:
    return segmented(real_data / "cip-chest" / "ct-64Dicom")


def label_map(real_data: Path, name: str, volume: CTVolume) -> np.ndarray:
    """Return labels on the grid of the volume, after checking that it is theirs."""
    image = SimpleITK.ReadImage(str(real_data / "cip-chest" / name))
    np.testing.assert_allclose(image.GetOrigin(), volume.affine[:3, 3], atol=0.01)
    np.testing.assert_allclose(image.GetSpacing()[::-1], volume.spacing_mm, atol=0.001)
    assert image.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    return SimpleITK.GetArrayFromImage(image)


def test_a_whole_chest_has_lungs_of_a_usual_size_and_no_flag(lidc: tuple[CTVolume, LungMask]) -> None:
    volume, mask = lidc
    right_ml, left_ml = (float((mask.labels == side).sum()) * volume.voxel_ml for side in (RIGHT_LUNG, LEFT_LUNG))
    assert 3000 < right_ml + left_ml < 4800
    assert 0.6 < left_ml / right_ml < 1.2
    assert mask.flags == ()


def test_the_mask_of_a_healthy_chest_is_as_light_as_lung(lidc: tuple[CTVolume, LungMask]) -> None:
    volume, mask = lidc
    inside = volume.hu[mask.labels > 0]
    assert -870 < inside.mean() < -780
    assert (inside > -200).mean() < 0.05


def test_the_air_of_the_trachea_stays_outside_on_a_real_chest(lidc: tuple[CTVolume, LungMask]) -> None:
    volume, mask = lidc
    emptiest = (volume.hu < -985) & (mask.labels > 0)
    assert emptiest.sum() * volume.voxel_ml < 25


@pytest.mark.parametrize(("first", "end"), [(40, 45), (90, 95), (0, 75), (60, 133)])
def test_part_of_a_real_chest_is_segmented_as_in_the_whole(
    lidc: tuple[CTVolume, LungMask], first: int, end: int
) -> None:
    volume, mask = lidc
    part = replace(volume, hu=volume.hu[first:end], sop_uids=volume.sop_uids[first:end])
    labels = lungs.segment(part).labels
    for side in (RIGHT_LUNG, LEFT_LUNG):
        ours, whole = labels == side, mask.labels[first:end] == side
        assert 2 * (ours & whole).sum() / (ours.sum() + whole.sum()) > 0.98


def test_the_lung_mask_agrees_with_the_chest_imaging_platform(cip: tuple[CTVolume, LungMask], real_data: Path) -> None:
    volume, mask = cip
    theirs = label_map(real_data, "wholeLung-64.nrrd", volume) > 0
    ours = mask.labels > 0
    assert 2 * (ours & theirs).sum() / (ours.sum() + theirs.sum()) > 0.97


def test_right_and_left_are_those_of_the_chest_imaging_platform(
    cip: tuple[CTVolume, LungMask], real_data: Path
) -> None:
    volume, mask = cip
    region = label_map(real_data, "lm-64.nrrd", volume) & 0xFF
    left, right = np.isin(region, (9, 10, 11)), np.isin(region, (12, 13, 14))
    for theirs, side in ((left, LEFT_LUNG), (right, RIGHT_LUNG)):
        ours = mask.labels == side
        assert 2 * (ours & theirs).sum() / (ours.sum() + theirs.sum()) > 0.96


def test_trachea_and_stomach_of_a_diseased_chest_are_no_lung(real_data: Path) -> None:
    volume, mask = segmented(real_data / "ricord-covid")
    emptiest = (ndimage.uniform_filter(volume.hu, 3) < -930) & (mask.labels > 0)
    assert emptiest.sum() * volume.voxel_ml < 8
    # The diaphragm is 55 mm above the first slice at the front; only the stomach holds gas below.
    assert np.count_nonzero(mask.labels[:27]) * volume.voxel_ml < 0.5
    assert [flag.code for flag in mask.flags] == ["dense_at_ribs"]


def test_gas_of_the_colon_under_the_diaphragm_is_no_lung(real_data: Path) -> None:
    volume, mask = segmented(real_data / "covid-ct-md-p001" / "dicom")
    front = mask.labels[:18, : volume.hu.shape[1] // 2]
    assert np.count_nonzero(front) * volume.voxel_ml < 0.1
    assert mask.flags == ()
