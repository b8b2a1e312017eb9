"""Cross-validation of one set, and two models judged on the same patients."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.support.labelled import tiny_plan, write_dataset
from worker.training.errors import TrainingError
from worker.training.evaluation import comparison, judge
from worker.training.fit import cross_validation, train


def silent(what: str, done: int, total: int) -> None:
    """Report nothing."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("set"), "nrrd", patients=4)


def test_every_patient_is_scored_once_by_a_model_new_to_it(data: Path, tmp_path: Path) -> None:
    plan = replace(tiny_plan(tmp_path), cases=0, datasets=(data,), steps=1)
    found = cross_validation.run(plan, 3, "train --folds 3", silent)
    assert sorted(row.patient for row in found.patients) == [f"made up, nrrd/P{n}" for n in range(4)]
    models = sorted(plan.out.parent.glob("*.safetensors"))
    assert [path.stem for path in models] == [f"tiny-v1-fold-{n}" for n in (1, 2, 3)]
    report = (plan.out.parent / "tiny-v1-folds" / "evaluation.md").read_text()
    assert "3-fold cross-validation of made up, nrrd" in report
    with pytest.raises(TrainingError, match="trained"):
        judge.run(judge.Request(models[0], (data,), everyone=True, sweep=0, device="cpu"), "evaluate", silent)


def test_phantoms_alone_are_not_cross_validated(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="--dataset") as refused:
        cross_validation.run(tiny_plan(tmp_path), 3, "train --folds 3", silent)
    assert refused.value.code == "folds_unfit"


def test_two_models_are_judged_on_the_same_patients(data: Path, tmp_path: Path) -> None:
    models = []
    for name in ("one", "two"):
        plan = replace(tiny_plan(tmp_path / name), cases=0, datasets=(data,), steps=1, name=name)
        train.run(plan, silent)
        models.append(plan.out)
    asked = judge.Request(models[0], (data,), sweep=0, device="cpu")
    found = comparison.run(asked, models[1], "evaluate --against", silent)
    comparison.write(found, tmp_path / "out")
    told = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert [model["title"] for model in told["models"]] == ["one 1 (labelled)", "two 1 (labelled)"]
    (patient,) = told["patients"]
    assert {"patient", "true_pct", "found_pct", "dice"} < set(patient)
    assert len(patient["found_pct"]) == len(patient["dice"]) == 2
    assert told["paired"]["total"]["patients"] == 1
    page = (tmp_path / "out" / "comparison.md").read_text()
    assert "| score | one 1 (labelled) | two 1 (labelled) |" in page
    for part in ("first", "second"):
        assert (tmp_path / "out" / part / "evaluation.md").exists()


def test_a_patient_whom_either_model_knows_is_refused(data: Path, tmp_path: Path) -> None:
    plan = replace(tiny_plan(tmp_path), cases=0, datasets=(data,), steps=1)
    train.run(plan, silent)
    asked = judge.Request(plan.out, (data,), everyone=True, sweep=0, device="cpu")
    with pytest.raises(TrainingError) as refused:
        comparison.run(asked, plan.out, "evaluate --against", silent)
    assert refused.value.code == "patient_on_both_sides"


def test_two_readers_of_a_judged_patient_stand_in_the_report(tmp_path: Path) -> None:
    path = write_dataset(tmp_path / "set", "nrrd", patients=3)
    written = yaml.safe_load(path.read_text())
    scans = written["scans"]
    first, second = scans[0] | {"reader": "anna", "side": "test"}, scans[0] | {"reader": "ben", "side": "test"}
    written["scans"] = [first, second, scans[1] | {"side": "train"}, scans[2] | {"side": "calibrate"}]
    path.write_text(yaml.safe_dump(written))
    plan = replace(tiny_plan(tmp_path), cases=0, datasets=(path,), steps=1)
    train.run(plan, silent)
    found = judge.run(judge.Request(plan.out, (path,), sweep=0, device="cpu"), "evaluate", silent)
    assert [row.patient for row in found.patients] == ["made up, nrrd/P0 (anna)"]
    (agreed,) = found.readers
    assert (agreed.dice["total"], agreed.difference_points("total")) == (1.0, 0.0)
