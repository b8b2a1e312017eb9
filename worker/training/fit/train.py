"""Training the pattern model: gather, optimise, calibrate, score, publish."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from worker.analysis.patterns import engine, network
from worker.analysis.patterns import model as pattern_model
from worker.analysis.patterns.model import PatternModel
from worker.phantom.chest_ct import render
from worker.training.data import layouts, painted, survey, without_lines
from worker.training.data.cases import Case, phantoms
from worker.training.data.labelled import Labelled, from_phantom
from worker.training.data.survey import Survey
from worker.training.evaluation import evaluate, figures
from worker.training.evaluation.evaluate import CALIBRATION_SEED, HELD_OUT_SEED, PhantomScorer, Report
from worker.training.evaluation.score import PatientScore
from worker.training.fit import average, calibrate, optimise, publish
from worker.training.fit.plan import TrainingPlan
from worker.training.fit.sides import Sides

SEEDS_APART = 10_000
Show = Callable[[Survey], None]


@dataclass(frozen=True)
class Trained:
    """The card of a trained model, and its scores on the patients held out."""

    card: dict[str, Any]
    scores: tuple[PatientScore, ...]


def run(plan: TrainingPlan, tell: Report, show: Show = lambda _: None) -> Trained:
    """Train, calibrate, score and write the model. A run that was cut off goes on from its checkpoint.

    Parameters
    ----------
    tell
        Called with (what is being done, how much is done, how much there is).
    show
        Called with what each data set holds, before anything is learnt from it.

    Raises
    ------
    TrainingError
        A data set cannot be used, would have somebody judged whom the weights to start from know, or the checkpoint
        belongs to another run.
    InputRejected
        A series among the healthy lungs cannot be read.
    WeightsMismatch
        The weights to start from are missing, damaged or of another network.
    DeviceUnavailable
        The GPU asked for is not there.
    """
    torch.manual_seed(plan.seed)
    sides = Sides.from_plan(plan)
    if sides.moved:
        tell("patients known before, learnt from and not judged", sides.moved, sides.moved)
    surveys = _looked_at(plan, tell, show)
    source = list(_source(plan, sides, tell))
    device = pattern_model.choose_device(plan.device)
    unet = network.placed(_beginning(plan), device, torch.float32)
    losses = optimise.optimise(unet, source, _with_steps(plan, source), tell)
    if plan.average_with:
        unet = average.averaged(unet, plan, source)
    model = as_model(unet, plan, device)
    model = calibrate.calibrated(_calibrating(plan, sides, tell), model)
    publish.weights(unet, model, plan)
    # The weights are loaded as at work to be scored, and that takes their card.
    publish.card(plan, sides, surveys, losses)
    figures.curve(losses, plan.out.with_suffix(".png"))
    scores = _scores(plan, sides, tell)
    return Trained(publish.card(plan, sides, surveys, losses, scores), tuple(scores))


def _looked_at(plan: TrainingPlan, tell: Report, show: Show) -> list[Survey]:
    surveys = [survey.of(path, tell) for path in plan.datasets]
    for found in surveys:
        show(found)
        found.require()
    return surveys


def _beginning(plan: TrainingPlan) -> torch.nn.Module:
    return network.build() if plan.start_from is None else pattern_model.weighted(plan.start_from)


def _source(plan: TrainingPlan, sides: Sides, tell: Report) -> Iterator[Case]:
    """Yield what is trained on: phantoms, painted lungs, slices without lines, labelled patients."""
    first = plan.seed * SEEDS_APART
    specs = [plan.case.spec(seed) for seed in range(first, first + plan.cases)]
    for done, case in enumerate(phantoms(specs, plan.cache, plan.processes), start=1):
        tell("drawing phantoms", done, plan.cases)
        yield case
    if plan.healthy is not None:
        for done, case in enumerate(
            painted.cases(plan.healthy, range(first, first + plan.painted), plan.processes), start=1
        ):
            tell("painting into healthy lungs", done, plan.painted)
            yield case
    teacher = plan.teacher or plan.start_from
    if plan.without_lines is not None and teacher is not None:
        yield from without_lines.cases(plan.without_lines, pattern_model.load(teacher, plan.device))
    for path, sided in zip(plan.datasets, sides.splits, strict=True):
        for done, patient in enumerate(layouts.labelled(path, sided.train, every_reader=True), start=1):
            tell(f"reading {path.stem}", done, max(done, len(sided.train)))
            yield patient.as_case()


def _with_steps(plan: TrainingPlan, source: list[Case]) -> TrainingPlan:
    if plan.epochs is None:
        return plan
    slices = sum(len(case.hu) for case in source)
    return replace(plan, steps=max(1, -(-plan.epochs * slices // plan.batch)))


def _calibrating(plan: TrainingPlan, sides: Sides, tell: Report) -> Iterator[Labelled]:
    if plan.datasets:
        for path, sided in zip(plan.datasets, sides.splits, strict=True):
            yield from layouts.labelled(path, sided.calibrate)
        return
    for index in range(plan.held_out):
        yield from_phantom(render(plan.case.spec(CALIBRATION_SEED + index)))
        tell("calibrating", index + 1, plan.held_out)


def _scores(plan: TrainingPlan, sides: Sides, tell: Report) -> list[PatientScore]:
    if not plan.datasets:
        seeds = range(HELD_OUT_SEED, HELD_OUT_SEED + plan.held_out)
        return evaluate.phantoms(PhantomScorer(plan.out, plan.device, plan.case), seeds, plan.processes, tell)
    model = pattern_model.load(plan.out, plan.device)
    rows = []
    for path, sided in zip(plan.datasets, sides.splits, strict=True):
        rows += evaluate.dataset(path, sorted(sided.test), model, tell)
    return rows


def as_model(unet: torch.nn.Module, plan: TrainingPlan, device: torch.device) -> PatternModel:
    """Wrap the trained network as inference sees it, before it has a file and a digest."""
    copy = network.build()
    copy.load_state_dict(unet.state_dict())
    return PatternModel(
        engine=engine.start(lambda: copy, device),
        thresholds=(0.5, 0.5, 0.5),
        spreads=(0.0, 0.0, 0.0),
        margins=(0.0, 0.0, 0.0),
        step_mm=plan.step_mm,
        reach_mm=plan.crop.reach_mm,
        digest="",
        name=plan.name,
        version=plan.version,
        card={},
        device=device,
    )
