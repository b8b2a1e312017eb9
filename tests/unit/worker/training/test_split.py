"""Splits: patients, never slices, and never a patient on two sides."""

from pathlib import Path

import pytest

from worker.training.data import split
from worker.training.data.dataset_file import DatasetFile
from worker.training.data.scans import Side
from worker.training.data.split import Split
from worker.training.errors import DatasetRejected


def described(patients: list[str], sides: dict[str, str] | None = None) -> DatasetFile:
    scans = [
        {"layout": "volume", "patient": p, "image": Path("i"), "mask": Path("m"), "side": (sides or {}).get(p)}
        for p in patients
    ]
    labels = {"ground_glass": [1], "reticulation": [2]}
    return DatasetFile.model_validate({"name": "d", "labels": labels, "scans": scans})


def test_a_patient_with_several_scans_is_on_exactly_one_side() -> None:
    patients = [f"P{n}" for n in range(20)]
    sides = split.assign(described(patients * 3))
    assert sorted(sides.train | sides.calibrate | sides.test) == sorted(patients)
    assert [len(side) for side in (sides.train, sides.calibrate, sides.test)] == [12, 4, 4]


def test_a_split_repeats_for_one_seed_and_differs_for_another() -> None:
    data = described([f"P{n}" for n in range(40)])
    assert split.assign(data, seed=1) == split.assign(data, seed=1)
    assert split.assign(data, seed=1) != split.assign(data, seed=2)


def test_sides_that_the_file_names_are_kept() -> None:
    sides = split.assign(described(["A", "B", "C"], {"A": "test", "B": "train", "C": "calibrate"}))
    assert sides == Split(frozenset("B"), frozenset("C"), frozenset("A"))


def test_a_patient_on_two_sides_is_refused() -> None:
    scans = [*described(["A"], {"A": "train"}).scans, *described(["A"], {"A": "test"}).scans]
    data = described(["A"]).model_copy(update={"scans": tuple(scans)})
    with pytest.raises(DatasetRejected) as refused:
        split.assign(data)
    assert (refused.value.code, refused.value.detail) == ("patient_on_both_sides", {"patients": ["A"]})


def test_two_patients_without_a_side_are_too_few() -> None:
    with pytest.raises(DatasetRejected) as refused:
        split.assign(described(["A", "B"]))
    assert refused.value.code == "too_few_patients"


def test_who_is_barred_from_a_side_is_trained_on() -> None:
    data = described([f"P{n}" for n in range(20)])
    usual = split.assign(data)
    judged, calibrating = min(usual.test), min(usual.calibrate)
    sides = split.assign(data, barred={Side.test: frozenset({judged}), Side.calibrate: frozenset({calibrating})})
    assert sides.train == usual.train | {judged, calibrating}
    assert (sides.test, sides.calibrate) == (usual.test - {judged}, usual.calibrate - {calibrating})


@pytest.mark.parametrize("side", [Side.test, Side.calibrate])
def test_naming_a_side_for_somebody_barred_from_it_is_refused(side: Side) -> None:
    data = described(["A", "B", "C", "D"], {"A": side})
    with pytest.raises(DatasetRejected, match=f"named to {side}.*: A") as refused:
        split.assign(data, barred={side: frozenset("A")})
    assert (refused.value.code, refused.value.detail) == ("patient_on_both_sides", {"patients": ["A"]})


@pytest.mark.parametrize("side", [Side.test, Side.calibrate])
def test_a_side_that_being_known_leaves_empty_is_refused(side: Side) -> None:
    with pytest.raises(DatasetRejected, match=f"to {side}; add patients") as refused:
        split.assign(described(["A", "B", "C", "D"]), barred={side: frozenset("ABCD")})
    assert refused.value.code == "too_few_patients"
