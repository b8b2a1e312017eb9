"""Patients as digests: the same person is known again, and nobody by a shared id."""

from pathlib import Path
from typing import Any

from tests.support import ct_files
from worker.training.data import patients
from worker.training.data.dataset_file import DatasetFile
from worker.training.data.patients import Known
from worker.training.data.scans import Side


def dicom_set(folder: Path, name: str, ids: dict[str, tuple[str, str]]) -> tuple[Path, DatasetFile]:
    """Write a data set of one image for each patient, by (issuer, PatientID)."""
    scans: list[dict[str, Any]] = []
    for patient, (issuer, patient_id) in ids.items():
        ds = ct_files.slices()[0]
        ds.IssuerOfPatientID, ds.PatientID = issuer, patient_id
        ct_files.write(folder / patient, [ds])
        scans.append({"layout": "dicom", "patient": patient, "series": patient, "segmentation": "none"})
    labels = {"ground_glass": [1], "reticulation": [2]}
    return folder / "set.yaml", DatasetFile.model_validate({"name": name, "labels": labels, "scans": scans})


def test_one_patient_in_two_data_sets_is_known_by_id(tmp_path: Path) -> None:
    first = patients.digests(*dicom_set(tmp_path / "1", "first", {"A": ("H", "17"), "B": ("H", "18")}))
    second = patients.digests(*dicom_set(tmp_path / "2", "second", {"X": ("H", "17"), "Y": ("other", "18")}))
    assert first["A"] & second["X"]
    assert not (first["A"] | first["B"]) & second["Y"]
    assert patients.barred(Known().and_of(first["A"]), second)[Side.test] == {"X"}


def test_an_id_that_patients_share_is_nobodys(tmp_path: Path) -> None:
    ids = {"A": ("", "ANONYMOUS"), "B": ("", "ANONYMOUS"), "C": ("", "")}
    found = patients.digests(*dicom_set(tmp_path, "shared", ids))
    assert found == {name: {patients.by_name("shared", name)} for name in "ABC"}


def test_who_calibrated_may_calibrate_again_and_is_not_judged() -> None:
    known = Known().and_of(["1"], ["2"])
    own = {"A": frozenset("1"), "B": frozenset("2"), "C": frozenset("3")}
    assert patients.barred(known, own) == {Side.calibrate: {"A"}, Side.test: {"A", "B"}}


def test_a_card_gives_back_whom_it_knows_an_older_one_as_well() -> None:
    known = Known().and_of(["1"], ["2"])
    assert Known.by({"known_patients": known.as_card()}) == known
    assert Known.by({"patients": {"set": ["A"]}}).trained == {patients.by_name("set", "A")}


def test_a_series_that_cannot_be_read_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / "image.dcm").write_bytes(b"no DICOM")
    assert patients.of_series(tmp_path) == patients.of_series(tmp_path / "absent") == frozenset()
