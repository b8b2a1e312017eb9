"""What the masks of a data set hold, found before anything is trained on them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import yaml

from tests.support import json_page
from tests.support.labelled import LAYOUTS, VALUES, VALUES_OF_SEG, patient, tiny_plan, write_dataset
from worker.phantom.chest_ct import render
from worker.settings import PACKAGED_WEIGHTS
from worker.training.data import layouts, survey
from worker.training.data.scans import Kind
from worker.training.errors import DatasetRejected
from worker.training.evaluation import judge
from worker.training.fit import train


def silent(what: str, done: int, total: int) -> None:
    """Report nothing."""


def relabelled(path: Path, **labels: Any) -> Path:
    written = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**written, "labels": {**written["labels"], **labels}}))
    return path


def split_masks(path: Path) -> Path:
    """Write the masks of a NIfTI data set again, a file for each pattern and one for the lungs."""
    written = yaml.safe_load(path.read_text())
    for scan in written["scans"]:
        mask = sitk.ReadImage(str(path.parent / scan["mask"]))
        files = {}
        for kind, values in VALUES.items():
            own = sitk.GetImageFromArray(np.isin(sitk.GetArrayFromImage(mask), values).astype(np.uint8) * 255)
            own.CopyInformation(mask)
            files[kind] = f"{scan['patient']}/{kind}.nii.gz"
            sitk.WriteImage(own, str(path.parent / files[kind]))
        scan["mask"] = files
    path.write_text(yaml.safe_dump({"name": written["name"], "scans": written["scans"]}))
    return path


@pytest.mark.parametrize("layout", LAYOUTS)
def test_values_are_told_as_used_or_ignored(tmp_path: Path, layout: str) -> None:
    values = VALUES_OF_SEG if layout == "dicom" else VALUES
    one_lung, other = values["lung"]
    path = relabelled(write_dataset(tmp_path, layout, patients=1), lung=[one_lung])
    found = {row.value: row for row in survey.of(path, silent).rows}
    truth = render(patient(0))
    assert {value: row.kind for value, row in found.items()} == {
        str(one_lung): Kind.lung,
        str(other): None,
        **{str(values[kind][0]): kind for kind in (Kind.ground_glass, Kind.reticulation, Kind.consolidation)},
    }
    assert found[str(values["reticulation"][0])].voxels == np.count_nonzero(truth.patterns.labels == 2)
    assert all(row.scans == 1 for row in found.values())


def test_a_declared_value_that_occurs_nowhere_is_refused(tmp_path: Path) -> None:
    path = relabelled(write_dataset(tmp_path / "set", "nrrd"), reticulation=[7], consolidation=[5])
    looked = survey.of(path, silent)
    assert [(row.value, row.scans, row.voxels) for row in looked.absent] == [("7", 0, 0)]
    with pytest.raises(DatasetRejected, match=r"reticulation 7.*found are 1, 2, 3, 4, 5") as refused:
        train.run(replace(tiny_plan(tmp_path), cases=0, datasets=(path,), epochs=1), silent)
    assert (refused.value.code, refused.value.detail["absent"]) == ("label_value_absent", ["reticulation 7"])
    with pytest.raises(DatasetRejected, match="reticulation 7"):
        judge.run(judge.Request(PACKAGED_WEIGHTS, (path,), sweep=0, device="cpu"), "evaluate", silent)


def test_every_scan_that_cannot_be_read_is_named_at_once(tmp_path: Path) -> None:
    path = write_dataset(tmp_path, "nifti")
    (tmp_path / "P0" / "mask.nii.gz").unlink()
    (tmp_path / "P2" / "image.nii.gz").write_bytes(b"cut off")
    with pytest.raises(DatasetRejected, match=r"P0.*P2") as refused:
        survey.of(path, silent).require()
    assert (refused.value.code, refused.value.detail["patients"]) == ("scan_unreadable", ["P0", "P2"])


def test_separate_masks_read_as_the_one_mask_does(tmp_path: Path) -> None:
    path = write_dataset(tmp_path, "nifti", patients=1)
    (one,) = layouts.labelled(path, {"P0"})
    (apart,) = layouts.labelled(split_masks(path), {"P0"})
    assert np.array_equal(apart.patterns.labels, one.patterns.labels)
    assert np.array_equal(apart.lungs.labels > 0, one.lungs.labels > 0)
    assert {row.value: row.kind for row in survey.of(path, silent).rows} == {f"file of {kind}": kind for kind in Kind}


def test_a_kind_whose_files_are_all_empty_is_refused(tmp_path: Path) -> None:
    path = split_masks(write_dataset(tmp_path, "nifti", patients=1))
    empty = tmp_path / "P0" / "reticulation.nii.gz"
    sitk.WriteImage(sitk.ReadImage(str(empty)) * 0, str(empty))
    with pytest.raises(DatasetRejected, match="file of reticulation") as refused:
        survey.of(path, silent).require()
    assert refused.value.code == "label_value_absent"


def test_one_image_under_two_names_is_refused(tmp_path: Path) -> None:
    path = write_dataset(tmp_path, "nrrd", patients=2)
    for name in ("image", "mask"):
        (tmp_path / "P1" / f"{name}.nrrd").write_bytes((tmp_path / "P0" / f"{name}.nrrd").read_bytes())
    with pytest.raises(DatasetRejected, match="P0, P1") as refused:
        survey.of(path, silent).require()
    assert (refused.value.code, refused.value.detail) == ("one_image_two_patients", {"patients": ["P0", "P1"]})


def test_a_copy_of_an_image_under_the_same_patient_is_refused(tmp_path: Path) -> None:
    path = write_dataset(tmp_path, "nrrd", patients=1)
    written = yaml.safe_load(path.read_text())
    (tmp_path / "P0" / "copy.nrrd").write_bytes((tmp_path / "P0" / "image.nrrd").read_bytes())
    written["scans"].append(written["scans"][0] | {"image": "P0/copy.nrrd"})
    path.write_text(yaml.safe_dump(written))
    with pytest.raises(DatasetRejected, match=r"P0.*one path") as refused:
        survey.of(path, silent).require()
    assert (refused.value.code, refused.value.detail) == ("two_masks_unnamed", {"patients": ["P0"]})


def test_the_card_holds_what_was_used_and_ignored(tmp_path: Path) -> None:
    path = relabelled(write_dataset(tmp_path / "set", "nrrd"), lung=[1])
    shown: list[str] = []
    card = train.run(
        replace(tiny_plan(tmp_path), cases=0, datasets=(path,), epochs=1), silent, lambda one: shown.append(one.dataset)
    ).card
    (told,) = card["labels"]
    assert json_page.keys(told) < json_page.documented("dataset check")
    assert shown == [told["dataset"]] == ["made up, nrrd"]
    ignored = [row for row in told["rows"] if row["kind"] is None]
    assert [(row["value"], row["scans"]) for row in ignored] == [("2", 3)]
