"""The YAML file of a data set: patients by pattern, masks apart, readers by name."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from worker.training.data import dataset_file
from worker.training.data.dataset_file import DatasetFile
from worker.training.data.scans import Kind
from worker.training.errors import DatasetRejected

LABELS = {"ground_glass": [1], "reticulation": [2]}


def described(folder: Path, *scans: dict[str, Any], files: tuple[str, ...] = (), **more: Any) -> DatasetFile:
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    path = folder / "set.yaml"
    path.write_text(yaml.safe_dump({"name": "d", "labels": LABELS, "scans": list(scans), **more}))
    return dataset_file.read(path)


def volume(patient: str = "A", **more: Any) -> dict[str, Any]:
    return {"patient": patient, "layout": "volume", "image": f"{patient}.nii", "mask": f"{patient}-m.nii", **more}


def test_a_pattern_stands_for_every_patient_that_it_finds(tmp_path: Path) -> None:
    pattern = {"layout": "volume", "image": "in/{patient}/ct.nii.gz", "mask": "in/{patient}/mask.nii.gz"}
    files = ("in/P02/ct.nii.gz", "in/P01/ct.nii.gz", "in/notes.txt", "in/P01/old/ct.nii.gz")
    found = described(tmp_path, pattern, files=files)
    assert found.patients == ("P01", "P02")
    assert [scan.mask for scan in found.scans] == [Path("in/P01/mask.nii.gz"), Path("in/P02/mask.nii.gz")]


def test_a_pattern_finds_one_folder_of_slices_a_patient(tmp_path: Path) -> None:
    pattern = {"layout": "png", "images": "{patient}/ct", "masks": "{patient}/masks", "window_hu": [-1000, 200]}
    found = described(tmp_path, pattern, files=("7/ct/1.png", "7/masks/1.png", "8/ct/1.png", "9/other/1.png"))
    assert found.patients == ("7", "8")


def test_a_pattern_finds_the_masks_of_each_reader(tmp_path: Path) -> None:
    pattern = {"layout": "volume", "image": "{patient}/ct.nii", "mask": "{patient}/{reader}.nrrd"}
    found = described(tmp_path, pattern, files=("P1/ct.nii", "P1/anna.nrrd", "P1/ben.nrrd", "P2/ct.nii", "P2/ben.nrrd"))
    assert [(scan.patient, scan.reader) for scan in found.scans] == [("P1", "anna"), ("P1", "ben"), ("P2", "ben")]


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ({"layout": "volume", "image": "{patient}/ct.nii", "mask": "m.nii"}, "no file or folder fits"),
        ({"layout": "volume", "image": "x.nii", "mask": "{patient}.nii"}, "patient"),
    ],
)
def test_a_pattern_that_finds_nobody_is_refused(tmp_path: Path, pattern: dict[str, Any], said: str) -> None:
    with pytest.raises(DatasetRejected, match=said) as refused:
        described(tmp_path, pattern)
    assert refused.value.code == "dataset_unreadable"


def test_masks_may_be_a_file_for_each_pattern(tmp_path: Path) -> None:
    masks = {"ground_glass": "{patient}/ggo.nii", "reticulation": "{patient}/ret.nii"}
    pattern = {"layout": "volume", "image": "{patient}/ct.nii", "mask": masks}
    (scan,) = described(tmp_path, pattern, files=("P1/ct.nii",), labels=None).scans
    assert dict(scan.mask_files) == {Kind.ground_glass: Path("P1/ggo.nii"), Kind.reticulation: Path("P1/ret.nii")}


def test_one_mask_for_all_needs_the_meaning_of_its_values(tmp_path: Path) -> None:
    with pytest.raises(DatasetRejected, match="labels"):
        described(tmp_path, volume(), labels=None)


@pytest.mark.parametrize("readers", [(None, None), ("anna", None), ("anna", "anna")])
def test_one_image_with_two_masks_of_nobody_is_refused(tmp_path: Path, readers: tuple[str | None, ...]) -> None:
    scans = [volume(mask=f"m{n}.nii", **({"reader": reader} if reader else {})) for n, reader in enumerate(readers)]
    with pytest.raises(DatasetRejected, match=r"A.*two masks.*reader") as refused:
        described(tmp_path, *scans)
    assert (refused.value.code, refused.value.detail) == ("two_masks_unnamed", {"patients": ["A"]})


def test_two_readers_of_one_image_are_told_apart(tmp_path: Path) -> None:
    found = described(tmp_path, volume(reader="anna"), volume(reader="ben"), volume("B"))
    assert found.patients == ("A", "B")
    assert [(scan.patient, scan.reader) for scan in found.first_read] == [("A", "anna"), ("B", None)]
    assert [[scan.reader for scan in scans] for scans in found.read_twice] == [["anna", "ben"]]


def test_two_scans_of_one_patient_need_no_reader(tmp_path: Path) -> None:
    found = described(tmp_path, volume(), volume(image="later.nii"))
    assert len(found.first_read) == 2
    assert not found.read_twice


def test_one_image_under_two_patients_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetRejected, match="A, B") as refused:
        described(tmp_path, volume(), volume("B", image="A.nii"))
    assert (refused.value.code, refused.value.detail) == ("one_image_two_patients", {"patients": ["A", "B"]})
