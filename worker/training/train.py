"""Training the pattern model on phantoms: render, optimise, calibrate, score, publish."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from worker.analysis import model as pattern_model
from worker.analysis import network
from worker.analysis.model import PatternModel
from worker.training import evaluate, publish
from worker.training.dataset import Case, Crops, Sample, cases
from worker.training.phantom import Phantom, render
from worker.training.plan import TrainingPlan

# Seeds of the held-out phantoms begin here; training seeds stay far below.
HELD_OUT_SEED = 1_000_000
Report = Callable[[str, int, int], None]


def run(plan: TrainingPlan, report: Report) -> dict[str, Any]:
    """Train, calibrate, score and write the model; return its card.

    Parameters
    ----------
    report
        Called with (what is being done, how much is done, how much there is).

    Raises
    ------
    WeightsMismatch
        The weights to start from are missing, damaged or of another network.
    DeviceUnavailable
        The GPU asked for is not there.
    """
    torch.manual_seed(plan.seed)
    source = _rendered(plan, report)
    device = pattern_model.choose_device(plan.device)
    unet = network.placed(_beginning(plan), device, torch.float32)
    losses = _optimise(unet, source, plan, report)
    model = _as_model(unet, plan, device)
    model = replace(model, thresholds=evaluate.calibrate(_held_out(plan, 0, report, "calibrating"), model))
    scores = [evaluate.score(p, model) for p in _held_out(plan, plan.held_out, report, "scoring")]
    return publish.write(unet, model.thresholds, plan, {"losses": losses, "scores": scores})


def _beginning(plan: TrainingPlan) -> torch.nn.Module:
    if plan.start_from is None:
        return network.build()
    return pattern_model.load(plan.start_from, "cpu").network


def _rendered(plan: TrainingPlan, report: Report) -> list[Case]:
    source = []
    first = plan.seed * 10_000
    specs = [plan.case.spec(seed) for seed in range(first, first + plan.cases)]
    for case in cases(specs, plan.cache, plan.processes):
        source.append(case)
        report("rendering phantoms", len(source), plan.cases)
    return source


def _held_out(plan: TrainingPlan, first: int, report: Report, what: str) -> Iterator[Phantom]:
    for index in range(plan.held_out):
        yield render(plan.case.spec(HELD_OUT_SEED + first + index))
        report(what, index + 1, plan.held_out)


def _optimise(unet: torch.nn.Module, source: list[Case], plan: TrainingPlan, report: Report) -> list[float]:
    """Run the optimiser until steps or minutes end; return the mean loss of every hundredth of the way."""
    unet.train()
    optimiser = torch.optim.AdamW(unet.parameters(), lr=plan.learning_rate, weight_decay=1e-4)
    loader = DataLoader(Crops(source, plan.crop, plan.seed), batch_size=plan.batch)
    started, losses = time.monotonic(), []
    for step, batch in enumerate(islice(loader, plan.steps)):
        progress = max(step / plan.steps, (time.monotonic() - started) / (plan.minutes * 60))
        if progress >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = plan.learning_rate * _schedule(progress)
        losses.append(_step(unet, optimiser, batch))
        report("training", round(progress * 1000), 1000)
    chunk = max(1, len(losses) // 100)
    return [round(float(np.mean(losses[i : i + chunk])), 4) for i in range(0, len(losses), chunk)]


def _schedule(progress: float) -> float:
    """Warm up over the first twentieth, then fall along a cosine."""
    return min(1.0, progress / 0.05 + 0.02) * (0.5 + 0.5 * float(np.cos(np.pi * progress)))


def _step(unet: torch.nn.Module, optimiser: torch.optim.Optimizer, batch: Sample) -> float:
    device = next(unet.parameters()).device
    stack, target, lung = (part.to(device, memory_format=torch.channels_last) for part in batch)
    with torch.autocast(device.type, dtype=pattern_model.fastest_dtype(device)):
        logits = unet(stack).float()
    value = loss(logits, target, lung)
    optimiser.zero_grad(set_to_none=True)
    value.backward()
    optimiser.step()
    return float(value.detach())


def loss(logits: torch.Tensor, target: torch.Tensor, lung: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy plus soft Dice over the batch, both inside the lungs alone.

    All float (batch, 2 or 1, rows, columns).
    """
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    cross = (entropy * lung).sum() / (lung.sum() * logits.shape[1]).clamp(min=1)
    probability = logits.sigmoid() * lung
    overlap = (probability * target).sum(dim=(0, 2, 3))
    total = probability.sum(dim=(0, 2, 3)) + target.sum(dim=(0, 2, 3))
    return cross + (1 - (2 * overlap + 1) / (total + 1)).mean()


def _as_model(unet: torch.nn.Module, plan: TrainingPlan, device: torch.device) -> PatternModel:
    """Wrap the trained network as inference sees it, before it has a file and a digest."""
    dtype = pattern_model.fastest_dtype(device)
    frozen = network.build()
    frozen.load_state_dict(unet.state_dict())
    return PatternModel(
        network=network.placed(frozen.eval(), device, dtype),
        thresholds=(0.5, 0.5),
        step_mm=plan.step_mm,
        reach_mm=plan.crop.reach_mm,
        digest="",
        name=plan.name,
        version=plan.version,
        card={},
        device=device,
        dtype=dtype,
    )
