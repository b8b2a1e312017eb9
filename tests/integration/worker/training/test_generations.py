"""A model that goes on from another knows the other's patients too: none of them is ever judged."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.labelled import tiny_plan, write_dataset
from worker.analysis import card as model_card
from worker.training.data import dataset_file, patients, split
from worker.training.data.patients import Known
from worker.training.errors import DatasetRejected
from worker.training.evaluation import judge
from worker.training.fit import train
from worker.training.fit.plan import TrainingPlan
from worker.training.fit.sides import Sides


def silent(what: str, done: int, total: int) -> None:
    """Report nothing."""


def on(data: Path, folder: Path, **changes: Any) -> TrainingPlan:
    """Return a plan that trains on one data set alone, for a step."""
    return replace(tiny_plan(folder), cases=0, datasets=(data,), steps=1, **changes)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingPlan, Path]:
    folder = tmp_path_factory.mktemp("first")
    data = write_dataset(folder / "set", "nrrd", patients=5)
    plan = on(data, folder)
    train.run(plan, silent)
    return plan, data


@pytest.fixture(scope="module")
def third(first: tuple[TrainingPlan, Path], tmp_path_factory: pytest.TempPathFactory) -> TrainingPlan:
    """A model two generations on, trained on other data and on phantoms in between."""
    folder = tmp_path_factory.mktemp("third")
    second = on(write_dataset(folder / "set", "png", patients=3), folder / "second", start_from=first[0].out)
    train.run(second, silent)
    plan = replace(tiny_plan(folder / "third"), cases=1, steps=1, start_from=second.out)
    train.run(plan, silent)
    return plan


def test_patients_of_a_forerunner_are_not_judged(first: tuple[TrainingPlan, Path], third: TrainingPlan) -> None:
    with pytest.raises(DatasetRejected) as refused:
        judge.run(judge.Request(third.out, (first[1],), everyone=True, sweep=0, device="cpu"), "evaluate", silent)
    assert refused.value.code == "patient_on_both_sides"
    assert len(refused.value.detail["patients"]) == 4


def test_whom_no_forerunner_knows_is_judged(first: tuple[TrainingPlan, Path], third: TrainingPlan) -> None:
    found = judge.run(judge.Request(third.out, (first[1],), sweep=0, device="cpu"), "evaluate", silent)
    assert len(found.patients) == 1


def test_a_card_carries_all_generations_without_names(first: tuple[TrainingPlan, Path], third: TrainingPlan) -> None:
    known, before = (Known.by(model_card.read(plan.out)) for plan in (third, first[0]))
    assert (len(before.trained), len(before.calibrated)) == (3, 1)
    assert (len(known.trained), len(known.calibrated)) == (4, 2)
    assert known.anyhow > before.anyhow
    for suffix in (".json", ".md"):
        written = third.out.with_suffix(suffix).read_text(encoding="utf-8")
        assert not any(f'"{patient}"' in written for patient in dataset_file.read(first[1]).patients)


def test_a_model_whose_forerunner_saw_patients_has_seen_disease(third: TrainingPlan) -> None:
    card = model_card.read(third.out)
    assert (card["origin"], card["not_seen"]) == (
        "synthetic and labelled",
        "whatever is not in the data it was trained on",
    )


def test_another_seed_brings_nobody_known_to_another_side(first: tuple[TrainingPlan, Path], tmp_path: Path) -> None:
    base, data = first
    data = write_dataset(tmp_path, "nrrd", patients=12)
    known = Known.by(model_card.read(base.out))
    own = patients.digests(data, dataset_file.read(data))
    moved = 0
    for seed in range(12):
        sides = Sides.from_plan(on(data, tmp_path, start_from=base.out, seed=seed))
        (sided,) = sides.splits
        assert not any(own[patient] & known.anyhow for patient in sided.test)
        assert not any(own[patient] & known.trained for patient in sided.calibrate)
        assert sided.train | sided.calibrate | sided.test == set(own)
        assert sides.moved == len(sided.train - split.assign(dataset_file.read(data), seed).train)
        moved += sides.moved
    assert moved > 0


def test_a_run_says_how_many_it_moved(first: tuple[TrainingPlan, Path], tmp_path: Path) -> None:
    data = write_dataset(tmp_path, "nrrd", patients=12)
    plans = (on(data, tmp_path, start_from=first[0].out, seed=seed) for seed in range(12))
    plan, moved = next((plan, sides.moved) for plan in plans if (sides := Sides.from_plan(plan)).moved)
    said: list[tuple[str, int, int]] = []
    train.run(plan, lambda *what: said.append(what))
    assert said[0] == ("patients known before, learnt from and not judged", moved, moved)


def test_a_patient_trained_on_in_another_set_is_refused(tmp_path: Path) -> None:
    sets = [write_dataset(tmp_path / side, "nrrd", patients=1) for side in ("test", "train")]
    for path, side in zip(sets, ("test", "train"), strict=True):
        path.write_text(path.read_text().replace("patient: P0", f"patient: P0\n  side: {side}"))
    with pytest.raises(DatasetRejected, match="judged in one data set") as refused:
        Sides.from_plan(replace(tiny_plan(tmp_path), datasets=tuple(sets)))
    assert (refused.value.code, refused.value.detail) == ("patient_on_both_sides", {"patients": ["P0"]})


def test_whose_healthy_lungs_are_painted_into_is_known(tmp_path: Path) -> None:
    data = write_dataset(tmp_path, "dicom", patients=1)
    sides = Sides.from_plan(replace(tiny_plan(tmp_path), healthy=data.parent / "P0" / "ct", painted=1))
    assert sides.known.trained == patients.of_series(data.parent / "P0" / "ct")
    assert len(sides.known.trained) == 1
