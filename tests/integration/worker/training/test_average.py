"""Weights averaged with those of a forerunner, and whom the mean knows."""

from dataclasses import replace

import pytest
import torch

from tests.support.labelled import tiny_plan, write_dataset
from worker.analysis import card as model_card
from worker.analysis.patterns import model as pattern_model
from worker.training.data.patients import Known
from worker.training.fit import train
from worker.training.fit.plan import TrainingPlan

FIRST_LAYER = "encoder.features.0.0.weight"


def silent(what: str, done: int, total: int) -> None:
    """Report nothing."""


@pytest.fixture(scope="module")
def of_people(tmp_path_factory: pytest.TempPathFactory) -> TrainingPlan:
    """A model of labelled patients."""
    folder = tmp_path_factory.mktemp("people")
    data = write_dataset(folder / "set", "nrrd", patients=5)
    plan = replace(tiny_plan(folder), cases=0, datasets=(data,), steps=1, seed=9)
    train.run(plan, silent)
    return plan


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> TrainingPlan:
    plan = replace(tiny_plan(tmp_path_factory.mktemp("alone")), cases=1, steps=2)
    train.run(plan, silent)
    return plan


@pytest.fixture(scope="module")
def mean(alone: TrainingPlan, of_people: TrainingPlan) -> TrainingPlan:
    """The run that is done, given again with weights to average with: it goes on from its checkpoint."""
    plan = replace(alone, out=alone.out.with_name("mean.safetensors"), average_with=(of_people.out,))
    alone.out.with_suffix(".checkpoint").rename(plan.out.with_suffix(".checkpoint"))
    train.run(plan, silent)
    return plan


def first_layer(plan: TrainingPlan) -> torch.Tensor:
    return pattern_model.weighted(plan.out).state_dict()[FIRST_LAYER]


def test_weights_are_the_mean(mean: TrainingPlan, alone: TrainingPlan, of_people: TrainingPlan) -> None:
    expected = (first_layer(alone) + first_layer(of_people)) / 2
    assert torch.allclose(first_layer(mean), expected, atol=1e-3)
    assert not torch.allclose(first_layer(mean), first_layer(alone), atol=1e-2)


def test_what_lies_between_layers_is_measured_anew(mean: TrainingPlan, alone: TrainingPlan) -> None:
    states = [pattern_model.weighted(plan.out).state_dict() for plan in (mean, alone)]
    names = [name for name in states[0] if name.endswith("running_mean")]
    assert any(not torch.allclose(states[0][name], states[1][name], atol=1e-2) for name in names)


def test_the_mean_knows_the_patients_of_each(mean: TrainingPlan, of_people: TrainingPlan) -> None:
    card = model_card.read(mean.out)
    assert Known.by(card).anyhow >= Known.by(model_card.read(of_people.out)).anyhow
    assert card["averaged_with"] == [model_card.read(of_people.out)["digest"]]
    assert card["origin"] == "synthetic and labelled"
    assert model_card.title(model_card.read(of_people.out)) in card["trained_on"]
