"""Training: a run on tiny phantoms writes what the worker loads, resumes, and learns what it should."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support import json_page
from tests.support.labelled import CROP, TINY, tiny_plan
from worker.analysis import card as model_card
from worker.analysis.patterns import model, network
from worker.phantom.chest_ct import scene
from worker.training.data.cases import phantoms
from worker.training.data.crops import Crops
from worker.training.errors import CheckpointOfAnotherPlan, TrainingError
from worker.training.fit import optimise, train
from worker.training.fit.plan import TrainingPlan

Trained = tuple[TrainingPlan, dict[str, Any], list[str]]


def silent(what: str, done: int, total: int) -> None:
    """Report nothing."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    plan = tiny_plan(tmp_path_factory.mktemp("training"))
    said: list[str] = []
    return plan, train.run(plan, lambda what, _done, _total: said.append(what)).card, said


def test_a_run_writes_weights_that_the_worker_loads(trained: Trained) -> None:
    plan, written, _ = trained
    loaded = model.load(plan.out, "cpu")
    assert loaded.digest == written["digest"] == model_card.digest(plan.out)
    assert (loaded.step_mm, loaded.reach_mm) == (plan.step_mm, CROP.reach_mm)
    assert plan.out.with_suffix(".png").stat().st_size > 1000


def test_both_cards_say_what_the_model_is_not_and_what_it_scored(trained: Trained) -> None:
    plan, written, _ = trained
    for_people = plan.out.with_suffix(".md").read_text(encoding="utf-8")
    assert "**Trained on computed lesions; research use only; not clinically validated.**" in for_people
    assert written["digest"] in for_people
    assert "Dice, lesion (total)" in for_people
    assert json.loads(plan.out.with_suffix(".json").read_text()) == json.loads(json.dumps(written))
    assert (written["intended_use"], written["scores"]["patients"]) == (model_card.statement(written), plan.held_out)
    json_page.require_documented("train", written | {"scores": None})
    pooled = {path for path in json_page.documented("evaluate") if path.startswith("pooled.")}
    assert json_page.keys(written["scores"], "pooled") == pooled
    assert (written["origin"], written["training_data"]) == ("synthetic", "computed lesions")


def test_a_run_that_goes_on_from_weights_names_them(trained: Trained, tmp_path: Path) -> None:
    plan, written, _ = trained
    further = replace(plan, out=tmp_path / "further.safetensors", start_from=plan.out, learning_rate=0.0, steps=1)
    card = train.run(further, silent).card
    assert card["started_from"] == written["digest"]
    assert card["training_data"] == "computed lesions, fine-tuned from ssc-ild-unet-site 1 (synthetic)"
    assert card["origin"] == "synthetic"


@pytest.mark.parametrize("changes", [{"name": "a" * 38}, {"name": "a\\b"}, {"name": ""}, {"version": "1\n"}], ids=str)
def test_a_name_that_results_cannot_say_is_refused_at_once(tmp_path: Path, changes: dict[str, str]) -> None:
    with pytest.raises(TrainingError) as refused:
        replace(tiny_plan(tmp_path), **changes)
    assert refused.value.code == "model_name_unfit"


def test_cards_name_no_path_of_the_machine(trained: Trained) -> None:
    plan, _, _ = trained
    for suffix in (".md", ".json"):
        assert str(plan.out.parent.parent) not in plan.out.with_suffix(suffix).read_text(encoding="utf-8")


def test_a_run_reports_every_part_of_its_way(trained: Trained) -> None:
    _, _, said = trained
    assert list(dict.fromkeys(said)) == ["drawing phantoms", "training", "calibrating", "scoring phantoms"]


def test_a_run_that_was_cut_off_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path)
    source = list(phantoms([plan.case.spec(0)], plan.cache, 1))
    first = optimise.optimise(network.build(), source, replace(plan, steps=2), silent)
    fresh = network.build()
    steps: list[int] = []
    both = optimise.optimise(fresh, source, replace(plan, steps=5), lambda _what, done, _total: steps.append(done))
    assert (both[:2], len(both), len(steps)) == (first, 5, 3)
    stored = torch.load(optimise.checkpoint_path(plan), weights_only=True)
    assert all(torch.equal(tensor, stored["network"][name]) for name, tensor in fresh.state_dict().items())


def test_the_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path)
    source = list(phantoms([plan.case.spec(0)], plan.cache, 1))
    optimise.optimise(network.build(), source, replace(plan, steps=1), silent)
    with pytest.raises(CheckpointOfAnotherPlan, match="delete it to begin anew"):
        optimise.optimise(network.build(), source, replace(plan, learning_rate=0.5), silent)


def test_a_cached_case_is_the_scene_around_its_lungs(tmp_path: Path) -> None:
    spec = TINY.spec(3)
    fresh, cached = (next(phantoms([spec], tmp_path, 1)) for _ in range(2))
    assert len(list(tmp_path.iterdir())) == 2
    assert np.array_equal(fresh.hu, cached.hu)
    drawn = scene(spec)
    assert (cached.labels > 0).sum() == (drawn.lungs.labels > 0).sum()
    assert (cached.labels > 1).sum() == (drawn.patterns.labels > 0).sum()
    assert not cached.exposed


def test_crops_keep_targets_inside_the_lung_and_repeat_by_seed(tmp_path: Path) -> None:
    source = list(phantoms([TINY.spec(seed) for seed in (1, 2)], tmp_path, 1))
    streams = [iter(Crops(source, CROP, seed=5)) for _ in range(2)]
    for _ in range(30):
        (stack, target, near), again = (next(stream) for stream in streams)
        assert torch.equal(stack, again[0])
        assert (stack.shape, target.shape, near.shape) == ((3, 32, 32), (4, 32, 32), (1, 32, 32))
        lesion, reticulation, consolidation, lung = target
        assert bool((reticulation + consolidation <= lesion).all())
        assert bool((lesion <= lung).all())
        assert bool((lung <= near[0]).all())


def test_what_a_scanner_has_seen_mostly_stays_as_it_is(tmp_path: Path) -> None:
    (case,) = phantoms([TINY.spec(1)], tmp_path, 1)
    flat = replace(case, hu=np.full_like(case.hu, -500))

    def grains(exposed: bool) -> list[float]:
        stream = iter(Crops([replace(flat, exposed=exposed)], CROP, seed=1))
        return [float(next(stream)[0][:, 8:16, 8:16].std()) for _ in range(40)]

    # A quarter is given noise; softened or sharpened, what is flat stays flat.
    assert 20 < sum(grain < 1e-6 for grain in grains(exposed=True)) < 40
    assert max(grains(exposed=False)[:5]) > 1e-3


def test_the_loss_falls_to_the_truth_and_ignores_far_lesions() -> None:
    target, near = torch.zeros(1, 4, 8, 8), torch.zeros(1, 1, 8, 8)
    target[..., :4], near[..., :6] = 1.0, 1.0
    right = torch.where(target > 0, 9.0, -9.0)
    lesion_outside, lung_outside = right.clone(), right.clone()
    lesion_outside[:, :3, :, 6:] = 9.0
    lung_outside[:, 3, :, 6:] = 9.0
    assert float(optimise.loss(right, target, near)) < 0.05
    assert float(optimise.loss(lesion_outside, target, near)) == float(optimise.loss(right, target, near))
    assert float(optimise.loss(lung_outside, target, near)) > float(optimise.loss(right, target, near)) + 0.1
    assert float(optimise.loss(-right, target, near)) > 5
