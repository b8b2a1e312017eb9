"""Labelled data in the layouts people have: read onto the right voxels, trained on, judged."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import yaml

from tests.support.labelled import LAYOUTS, WINDOW_HU, patient, tiny_plan, write_dataset
from worker.analysis import card as model_card
from worker.phantom.chest_ct import render
from worker.training.data import dataset_file, layouts, patients, split
from worker.training.errors import DatasetRejected
from worker.training.evaluation import judge
from worker.training.fit import train


def silent(what: str, done: int, total: int) -> None:
    """Report nothing."""


def changed(path: Path, **changes: Any) -> Path:
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}))
    return path


@pytest.fixture(scope="module", params=LAYOUTS)
def dataset(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp(request.param), request.param)


def test_every_layout_reads_back_to_the_same_voxels(dataset: Path) -> None:
    truth = render(patient(1))
    (read,) = layouts.labelled(dataset, {"P1"})
    grey_step = (WINDOW_HU[1] - WINDOW_HU[0]) / 255 if "png" in read.name else 0
    inside = (truth.volume.hu > WINDOW_HU[0]) & (truth.volume.hu < WINDOW_HU[1])
    assert np.abs(read.volume.hu.astype(int) - truth.volume.hu)[inside].max() <= grey_step / 2 + 1
    assert np.array_equal(read.patterns.labels, truth.patterns.labels)
    assert np.array_equal(read.lungs.labels > 0, truth.lungs.labels > 0)
    assert np.allclose(read.volume.spacing_mm, truth.volume.spacing_mm, atol=1e-3)


def test_every_layout_trains_and_is_judged_on_unseen_patients(dataset: Path, tmp_path: Path) -> None:
    plan = replace(tiny_plan(tmp_path), cases=0, datasets=(dataset,), epochs=2, batch=8)
    card = train.run(plan, silent).card
    sides = split.assign(dataset_file.read(dataset))
    slices = sum(len(one.as_case().hu) for one in layouts.labelled(dataset, sides.train))
    assert card["steps"] == math.ceil(2 * slices / plan.batch)
    name = dataset_file.read(dataset).name
    assert card["known_patients"] == {
        "trained": sorted(patients.by_name(name, one) for one in sides.train),
        "calibrated": sorted(patients.by_name(name, one) for one in sides.calibrate),
    }
    assert (card["origin"], card["training_data"]) == ("labelled", "labelled data of 1 patient")
    found = judge.run(judge.Request(plan.out, (dataset,), sweep=0, device="cpu"), "evaluate", silent)
    assert found.as_json()["intended_use"] == model_card.statement(card)
    assert [row.patient.rpartition("/")[2] for row in found.patients] == sorted(sides.test)
    assert 15 < found.patients[0].regions["total"].true_pct < 25


def test_judging_patients_seen_in_training_is_refused(tmp_path: Path) -> None:
    path = write_dataset(tmp_path / "set", "nrrd")
    plan = replace(tiny_plan(tmp_path), cases=0, datasets=(path,), epochs=1)
    train.run(plan, silent)
    with pytest.raises(DatasetRejected) as refused:
        judge.run(judge.Request(plan.out, (path,), everyone=True, sweep=0, device="cpu"), "evaluate", silent)
    assert refused.value.code == "patient_on_both_sides"


def test_a_model_that_goes_on_from_a_synthetic_one_says_both(tmp_path: Path) -> None:
    base = replace(tiny_plan(tmp_path / "base"), name="base")
    train.run(base, silent)
    path = write_dataset(tmp_path / "set", "nrrd", patients=4)
    plan = replace(tiny_plan(tmp_path), cases=0, datasets=(path,), epochs=1, start_from=base.out)
    card = train.run(plan, silent).card
    assert card["training_data"] == "labelled data of 2 patients, fine-tuned from base 1 (synthetic)"
    assert model_card.title(card) == "ssc-ild-unet-site 1 (synthetic and labelled)"


def test_a_mask_on_another_grid_is_refused_naming_the_patient(tmp_path: Path) -> None:
    path = write_dataset(tmp_path, "nifti", patients=1)
    mask = sitk.ReadImage(str(tmp_path / "P0" / "mask.nii.gz"))
    mask.SetOrigin([0.0, 0.0, 5.0])
    sitk.WriteImage(mask, str(tmp_path / "P0" / "mask.nii.gz"))
    with pytest.raises(DatasetRejected, match=r"P0.*different grids") as refused:
        list(layouts.labelled(path, {"P0"}))
    assert refused.value.code == "scan_unreadable"


def test_a_mirrored_feet_last_volume_is_turned_the_right_way(tmp_path: Path) -> None:
    path = write_dataset(tmp_path, "nrrd", patients=1)
    for name in ("image", "mask"):
        file = str(tmp_path / "P0" / f"{name}.nrrd")
        sitk.WriteImage(sitk.DICOMOrient(sitk.ReadImage(file), "RAI"), file)
    (read,) = layouts.labelled(path, {"P0"})
    assert np.array_equal(read.patterns.labels, render(patient(0)).patterns.labels)


def test_a_seg_of_another_series_is_refused(tmp_path: Path) -> None:
    path = write_dataset(tmp_path, "dicom", patients=2)
    (tmp_path / "P0" / "seg.dcm").replace(tmp_path / "P1" / "seg.dcm")
    with pytest.raises(DatasetRejected, match="other images"):
        list(layouts.labelled(path, {"P1"}))


def test_without_lung_labels_segmented_lungs_hold_all_disease(tmp_path: Path) -> None:
    path = write_dataset(tmp_path, "nifti", patients=1)
    changed(path, labels={"ground_glass": [3], "reticulation": [4], "consolidation": [5]})
    (read,) = layouts.labelled(path, {"P0"})
    lung, truth = read.lungs.labels > 0, render(patient(0))
    assert not ((read.patterns.labels > 0) & ~lung).any()
    both = (lung & (truth.lungs.labels > 0)).sum()
    assert 2 * both / (lung.sum() + (truth.lungs.labels > 0).sum()) > 0.8


@pytest.mark.parametrize(
    "wrong",
    [{"labels": {"ground_glass": [1]}}, {"scans": []}, {"scans": [{"patient": "A", "layout": "tiff"}]}, {"extra": 1}],
)
def test_a_file_that_says_too_little_or_too_much_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    path = changed(write_dataset(tmp_path, "png", patients=1), **wrong)
    with pytest.raises(DatasetRejected) as refused:
        dataset_file.read(path)
    assert refused.value.code == "dataset_unreadable"
