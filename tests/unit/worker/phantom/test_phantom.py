"""The phantom: what it promises of its anatomy, its truth and its files."""

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from tests.support import services
from worker.analysis.records import CONSOLIDATION, GROUND_GLASS, LEFT_LUNG, RETICULATION, RIGHT_LUNG
from worker.phantom.acquisition import Protocol
from worker.phantom.chest_ct import Phantom, PhantomSpec, render
from worker.phantom.dicom_series import PhantomIdentity, write_series
from worker.phantom.lesions import Disease
from worker.reading import series as reading

SMALL = PhantomSpec(
    seed=7, shape=(24, 64, 64), spacing_mm=(11.5, 5.8, 5.8), extent_pct=25.0, protocol=Protocol(noise_hu=10.0)
)

# Slices that are drawn as they are, not merged from thinner ones; voxels fine enough for lines.
THIN = replace(SMALL, shape=(92, 64, 64), spacing_mm=(3.0, 5.8, 5.8))
FINE = replace(SMALL, shape=(12, 320, 320), spacing_mm=(1.0, 1.1, 1.1))


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return render(SMALL)


def test_the_same_spec_gives_the_same_phantom_to_the_last_voxel(phantom: Phantom) -> None:
    again = render(SMALL)
    assert np.array_equal(again.volume.hu, phantom.volume.hu)
    assert np.array_equal(again.patterns.labels, phantom.patterns.labels)
    assert again.volume.sop_uids == phantom.volume.sop_uids


def test_another_seed_is_another_patient_with_other_uids(phantom: Phantom) -> None:
    other = render(replace(SMALL, seed=8))
    assert not np.array_equal(other.lungs.labels, phantom.lungs.labels)
    assert not set(other.volume.sop_uids) & set(phantom.volume.sop_uids)


@pytest.mark.parametrize("extent_pct", [0.0, 60.0])
def test_the_truth_has_the_extent_that_was_asked_for(extent_pct: float) -> None:
    phantom = render(replace(THIN, extent_pct=extent_pct))
    lung, lesion = phantom.lungs.labels > 0, phantom.patterns.labels > 0
    assert 100 * lesion.sum() / lung.sum() == pytest.approx(extent_pct, abs=0.1)
    assert not (lesion & ~lung).any()


@pytest.mark.parametrize("share", [0.0, 0.6])
def test_reticulation_takes_its_share_of_the_lesion(share: float) -> None:
    labels = render(replace(SMALL, reticulation_share=share)).patterns.labels
    assert (labels == RETICULATION).sum() / (labels > 0).sum() == pytest.approx(share, abs=0.02)


def test_density_rises_from_lung_to_haze_to_consolidation() -> None:
    phantom = render(replace(THIN, reticulation_share=0.0, consolidation_share=0.4, solid_hu=0.0))
    hu, patterns = phantom.volume.hu, phantom.patterns.labels
    healthy = hu[(phantom.lungs.labels > 0) & (patterns == 0)]
    haze, solid = hu[patterns == GROUND_GLASS], hu[patterns == CONSOLIDATION]
    assert (patterns == CONSOLIDATION).sum() / (patterns > 0).sum() == pytest.approx(0.4, abs=0.02)
    assert np.median(haze) > np.median(healthy) + 50
    assert np.median(solid) > -100 > np.median(haze) + 50


def test_lines_without_haze_are_rough_and_hardly_dense() -> None:
    chest = replace(FINE, protocol=Protocol(0.5, 0.0, 5.0))
    drawn = Disease.drawn(25.0, np.random.default_rng(1))
    net = replace(
        drawn, reticulation_share=1.0, haze_under_lines=0.0, haze_hu=300.0, honeycombing=0.0, consolidation_share=0.0
    )
    lines, haze = (render(replace(chest, disease=one)) for one in (net, replace(net, reticulation_share=0.0)))
    lesion = lines.patterns.labels[lines.patterns.labels > 0]
    assert (lesion == RETICULATION).mean() > 0.999
    assert np.array_equal(lines.patterns.labels > 0, haze.patterns.labels > 0)
    region = haze.patterns.labels == GROUND_GLASS
    assert np.median(lines.volume.hu[region]) < np.median(haze.volume.hu[region]) - 100
    assert lines.volume.hu[region].std() > haze.volume.hu[region].std() + 30


def test_coarse_haze_is_rough_and_holds_no_lines() -> None:
    chest = replace(FINE, protocol=Protocol(0.5, 0.0, 5.0))
    even = replace(
        Disease.drawn(25.0, np.random.default_rng(1)), reticulation_share=0.0, consolidation_share=0.0, grain=0.0
    )
    fine, coarse = (render(replace(chest, disease=one)) for one in (even, replace(even, grain=0.4)))
    assert np.array_equal(fine.patterns.labels, coarse.patterns.labels)
    haze = fine.patterns.labels == GROUND_GLASS
    assert coarse.volume.hu[haze].std() > fine.volume.hu[haze].std() + 12
    assert abs(float(np.median(coarse.volume.hu[haze])) - float(np.median(fine.volume.hu[haze]))) < 25


def test_disease_favours_the_base_over_many_patients() -> None:
    lower, upper = 0, 0
    for seed in range(4):
        phantom = render(replace(SMALL, seed=seed))
        lesion = phantom.patterns.labels > 0
        middle = int(np.median(np.flatnonzero(phantom.lungs.labels.any(axis=(1, 2)))))
        lower, upper = lower + int(lesion[:middle].sum()), upper + int(lesion[middle:].sum())
    assert lower > 1.5 * upper


def test_the_right_lung_is_in_the_first_columns_and_larger(phantom: Phantom) -> None:
    right, left = (phantom.lungs.labels == side for side in (RIGHT_LUNG, LEFT_LUNG))
    assert np.nonzero(right)[2].max() < np.nonzero(left)[2].min()
    assert right.sum() > left.sum()


def test_both_lungs_lie_whole_within_the_field(phantom: Phantom) -> None:
    lungs = phantom.lungs.labels > 0
    faces = [lungs[0], lungs[-1], lungs[:, 0], lungs[:, -1], lungs[:, :, 0], lungs[:, :, -1]]
    assert not any(face.any() for face in faces)
    assert 2000 < lungs.sum() * phantom.volume.voxel_ml < 8000


def test_the_trachea_is_air_inside_the_body_and_no_lung(phantom: Phantom) -> None:
    spacing_mm = phantom.volume.spacing_mm
    middle = [(n - 1) / 2 for n in phantom.volume.hu.shape]
    z, y, x = (round(m + mm / step) for m, mm, step in zip(middle, (80, 9, 0), spacing_mm, strict=True))
    around = np.s_[z, y - 1 : y + 1, x - 1 : x + 1]
    assert phantom.volume.hu[around].min() < -850
    assert not phantom.lungs.labels[around].any()


def test_noise_has_the_deviation_that_was_asked_for(phantom: Phantom) -> None:
    liver = phantom.volume.hu[1, 25:37, 18:27]
    assert liver.mean() == pytest.approx(60, abs=4)
    assert liver.std() == pytest.approx(SMALL.protocol.noise_hu, rel=0.25)


def test_drawn_patients_hold_healthy_and_severe_ones() -> None:
    extents = [PhantomSpec.drawn(seed).extent_pct for seed in range(300)]
    assert 0.12 < np.mean(np.array(extents) == 0) < 0.28
    assert 8 < np.median([extent for extent in extents if extent > 0]) < 17
    assert 40 < max(extents) <= 70


def test_a_written_series_is_read_back_voxel_for_voxel(phantom: Phantom, tmp_path: Path) -> None:
    paths = write_series(phantom, tmp_path, PhantomIdentity())
    read = reading.read(list(reversed(paths)))
    assert np.array_equal(read.volume.hu, phantom.volume.hu)
    assert np.allclose(read.volume.affine, phantom.volume.affine, atol=1e-6)
    assert read.volume.sop_uids == phantom.volume.sop_uids
    assert read.flags == ()


def test_a_series_bears_the_name_it_is_given(phantom: Phantom, tmp_path: Path) -> None:
    path = write_series(phantom, tmp_path, PhantomIdentity(patient_name="کانری^فانتوم", patient_id="CANARY"))[0]
    header = dcmread(path)
    assert (str(header.PatientName), header.PatientID) == ("کانری^فانتوم", "CANARY")


def test_dciodvfy_finds_no_error_in_a_slice(phantom: Phantom, tmp_path: Path) -> None:
    dciodvfy = services.program("dciodvfy")
    path = write_series(phantom, tmp_path, PhantomIdentity())[20]
    found = subprocess.run([dciodvfy, path], capture_output=True, text=True, check=True)
    assert "Error" not in found.stdout + found.stderr
