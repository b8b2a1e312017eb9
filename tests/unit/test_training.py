"""Training: a run on tiny phantoms writes what the worker loads; scores and thresholds are what they say."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from worker.analysis import card as model_card
from worker.analysis import model
from worker.training import evaluate, train
from worker.training.dataset import CasePlan, CropPlan, Crops, cases
from worker.training.evaluate import CaseScore
from worker.training.phantom import render
from worker.training.plan import TrainingPlan

TINY = CasePlan(slices=(12, 14), side=48)
CROP = CropPlan(side=32)


def tiny_plan(folder: Path) -> TrainingPlan:
    return TrainingPlan(
        out=folder / "models" / "tiny-v1.safetensors",
        cache=folder / "cache",
        cases=2,
        steps=2,
        batch=2,
        held_out=1,
        processes=1,
        device="cpu",
        step_mm=8.0,
        case=TINY,
        crop=CROP,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingPlan, dict[str, Any], list[str]]:
    plan = tiny_plan(tmp_path_factory.mktemp("training"))
    said: list[str] = []
    return plan, train.run(plan, lambda what, _done, _total: said.append(what)), said


def test_a_run_writes_weights_that_the_worker_loads(trained: tuple[TrainingPlan, dict[str, Any], list[str]]) -> None:
    plan, written, _ = trained
    loaded = model.load(plan.out, "cpu")
    assert loaded.digest == written["digest"] == model_card.digest(plan.out)
    assert loaded.thresholds == (written["thresholds"]["lesion"], written["thresholds"]["reticulation"])
    assert (loaded.step_mm, loaded.reach_mm) == (8.0, CROP.reach_mm)


def test_both_cards_say_what_the_model_is_not(trained: tuple[TrainingPlan, dict[str, Any], list[str]]) -> None:
    plan, written, _ = trained
    for_people = plan.out.with_suffix(".md").read_text(encoding="utf-8")
    assert model_card.RESEARCH_SENTENCE in for_people
    assert written["digest"] in for_people
    assert json.loads(plan.out.with_suffix(".json").read_text())["intended_use"] == model_card.RESEARCH_SENTENCE


def test_a_run_that_goes_on_from_weights_names_them(
    trained: tuple[TrainingPlan, dict[str, Any], list[str]], tmp_path: Path
) -> None:
    plan, written, _ = trained
    further = replace(plan, out=tmp_path / "further.safetensors", start_from=plan.out, learning_rate=0.0, steps=1)
    assert train.run(further, lambda *_: None)["started_from"] == written["digest"]


def test_cards_name_no_path_of_the_machine(trained: tuple[TrainingPlan, dict[str, Any], list[str]]) -> None:
    plan, _, _ = trained
    for suffix in (".md", ".json"):
        assert str(plan.out.parent.parent) not in plan.out.with_suffix(suffix).read_text(encoding="utf-8")


def test_a_run_reports_every_part_of_its_way(trained: tuple[TrainingPlan, dict[str, Any], list[str]]) -> None:
    _, _, said = trained
    assert list(dict.fromkeys(said)) == ["rendering phantoms", "training", "calibrating", "scoring"]


def test_a_cached_case_equals_the_phantom_around_its_lungs(tmp_path: Path) -> None:
    spec = TINY.spec(3)
    fresh, cached = (next(cases([spec], tmp_path, 1)) for _ in range(2))
    assert len(list(tmp_path.iterdir())) == 1
    assert np.array_equal(fresh.hu, cached.hu)
    phantom = render(spec)
    assert (cached.labels > 0).sum() == (phantom.lungs.labels > 0).sum()
    assert (cached.labels > 1).sum() == (phantom.patterns.labels > 0).sum()


def test_crops_hold_targets_inside_the_lung_and_repeat_for_one_seed(tmp_path: Path) -> None:
    source = list(cases([TINY.spec(seed) for seed in (1, 2)], tmp_path, 1))
    streams = [iter(Crops(source, CROP, seed=5)) for _ in range(2)]
    for _ in range(8):
        (stack, target, lung), again = (next(stream) for stream in streams)
        assert torch.equal(stack, again[0])
        assert (stack.shape, target.shape, lung.shape) == ((3, 32, 32), (2, 32, 32), (1, 32, 32))
        assert bool((target <= lung).all())
        assert bool((target[1] <= target[0]).all())


def test_the_loss_falls_towards_the_truth_and_ignores_what_is_not_lung() -> None:
    target, lung = torch.zeros(1, 2, 8, 8), torch.zeros(1, 1, 8, 8)
    target[..., :4], lung[..., :6] = 1.0, 1.0
    right = torch.where(target > 0, 9.0, -9.0)
    outside_wrong = right.clone()
    outside_wrong[..., 6:] = 9.0
    assert float(train.loss(right, target, lung)) < 0.05
    assert float(train.loss(outside_wrong, target, lung)) == float(train.loss(right, target, lung))
    assert float(train.loss(-right, target, lung)) > 5


@pytest.mark.parametrize(("found", "dice"), [([1, 1, 0, 0], 1.0), ([0, 0, 1, 1], 0.0), ([1, 0, 0, 0], 2 / 3)])
def test_dice_is_twice_the_overlap_over_both_sizes(found: list[int], dice: float) -> None:
    assert evaluate.dice(np.array(found) > 0, np.array([1, 1, 0, 0]) > 0) == pytest.approx(dice)


def test_dice_of_nothing_rightly_found_is_undefined() -> None:
    nothing = np.zeros(4, np.bool_)
    assert evaluate.dice(nothing, nothing) is None


def test_a_summary_keeps_the_healthy_apart() -> None:
    ill = CaseScore(1, 0.9, 0.8, 20.0, 23.0, 10.0, 9.0)
    healthy = CaseScore(2, 0.0, None, 0.0, 1.0, 0.0, 0.0)
    summary = evaluate.summary([ill, healthy])
    assert (summary["dice_lesion"], summary["dice_reticulation"]) == (0.9, 0.8)
    assert (summary["extent_error_points"], summary["extent_bias_points"]) == (2.0, 2.0)
    assert (summary["healthy_cases"], summary["false_extent_healthy_pct"]) == (1, 1.0)
    assert evaluate.summary([ill])["false_extent_healthy_pct"] is None
