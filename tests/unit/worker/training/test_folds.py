"""Cross-validation: every patient is judged once, by a model that has not seen it."""

from pathlib import Path

import pytest

from tests.unit.worker.training.test_split import described
from worker.training.data import split
from worker.training.data.scans import Side
from worker.training.data.split import Fold
from worker.training.errors import DatasetRejected, TrainingError
from worker.training.fit.plan import TrainingPlan


def test_each_of_22_patients_is_judged_once_and_calibrates_once() -> None:
    data = described([f"P{n}" for n in range(22)])
    folds = [split.assign(data, fold=Fold(n, 5)) for n in range(5)]
    for side in ("test", "calibrate"):
        assert sorted(p for fold in folds for p in getattr(fold, side)) == sorted(data.patients)
    assert [len(fold.test) for fold in folds] == [5, 5, 4, 4, 4]
    assert all(fold.train | fold.calibrate | fold.test == set(data.patients) for fold in folds)


def test_named_sides_hold_in_every_fold_and_the_test_side_rests() -> None:
    data = described([f"P{n}" for n in range(9)], {"P0": "train", "P1": "calibrate", "P2": "test"})
    for fold in (split.assign(data, fold=Fold(n, 3)) for n in range(3)):
        assert "P0" in fold.train
        assert "P1" in fold.calibrate
        assert "P2" not in fold.train | fold.calibrate | fold.test


def test_whom_the_base_knows_is_learnt_from_in_every_fold() -> None:
    data = described([f"P{n}" for n in range(9)])
    for fold in (split.assign(data, 0, {Side.test: frozenset({"P3"})}, Fold(n, 3)) for n in range(3)):
        assert "P3" not in fold.test


def test_more_folds_than_patients_are_refused() -> None:
    with pytest.raises(DatasetRejected, match=r"4 patients.*5 folds") as refused:
        split.assign(described(list("ABCD")), fold=Fold(0, 5))
    assert refused.value.code == "too_few_patients"


@pytest.mark.parametrize("folds", [Fold(0, 2), Fold(3, 3)])
def test_folds_that_cannot_be_are_refused(folds: Fold) -> None:
    with pytest.raises(TrainingError):
        TrainingPlan(Path("o.safetensors"), Path("cache"), fold=folds)
