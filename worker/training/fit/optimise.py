"""The optimiser's loop: resumable, in mixed precision where the processor computes in bfloat16."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.utils.data import DataLoader

from worker.analysis.patterns import engine, network
from worker.training.data.cases import Case
from worker.training.data.crops import Crops, Sample
from worker.training.errors import CheckpointOfAnotherPlan
from worker.training.fit.plan import TrainingPlan

CHECKPOINT_S = 60.0
# What may differ between a run and its continuation.
FREE = frozenset({"out", "cache", "minutes", "steps", "device", "processes", "held_out", "average_with"})
LUNG_WEIGHT = 0.3
Report = Callable[[str, int, int], None]


@dataclass
class Run:
    """A training run as it stands: what a checkpoint holds."""

    unet: torch.nn.Module
    optimiser: torch.optim.Optimizer
    step: int = 0
    spent_s: float = 0.0
    losses: list[float] = field(default_factory=list)


def optimise(unet: torch.nn.Module, source: list[Case], plan: TrainingPlan, report: Report) -> list[float]:
    """Run until steps or minutes end; return the loss of every step.

    Beside the weights to be written lies a checkpoint, renewed each minute; a run that finds the checkpoint of its
    own plan goes on from there.

    Raises
    ------
    CheckpointOfAnotherPlan
        The checkpoint was left by another run.
    """
    unet.train()
    run = Run(unet, torch.optim.AdamW(unet.parameters(), lr=plan.learning_rate, weight_decay=1e-4))
    path = checkpoint_path(plan)
    if path.exists():
        _restore(run, path, plan)
    saved_at = time.monotonic()
    for batch in _timed(_batches(source, plan, run.step), run):
        progress = max(run.step / plan.steps, run.spent_s / (plan.minutes * 60))
        if progress >= 1:
            break
        for group in run.optimiser.param_groups:
            group["lr"] = plan.learning_rate * _schedule(progress)
        run.losses.append(_step(run, batch))
        run.step += 1
        report("training", round(progress * 1000), 1000)
        if time.monotonic() - saved_at > CHECKPOINT_S:
            _save(run, path, plan)
            saved_at = time.monotonic()
    _save(run, path, plan)
    return run.losses


def checkpoint_path(plan: TrainingPlan) -> Path:
    """Return where a run of this plan keeps its checkpoint."""
    return plan.out.with_suffix(".checkpoint")


def _batches(source: list[Case], plan: TrainingPlan, step: int) -> Iterator[Sample]:
    """Yield batches; a run that goes on sees other crops than those it has seen."""
    crops = Crops(source, plan.crop, plan.seed * 1_000_003 + step)
    return iter(islice(DataLoader(crops, batch_size=plan.batch), max(plan.steps - step, 0)))


def _timed(batches: Iterator[Sample], run: Run) -> Iterator[Sample]:
    """Yield batches and add the time each took to the run."""
    started, before = time.monotonic(), run.spent_s
    for batch in batches:
        yield batch
        run.spent_s = before + time.monotonic() - started


def _schedule(progress: float) -> float:
    """Warm up over the first twentieth, then fall along a cosine."""
    return min(1.0, progress / 0.05 + 0.02) * (0.5 + 0.5 * float(np.cos(np.pi * progress)))


def _step(run: Run, batch: Sample) -> float:
    device = next(run.unet.parameters()).device
    stack, target, near = (part.to(device, memory_format=torch.channels_last) for part in batch)
    with torch.autocast(device.type, dtype=engine.fastest_dtype(device)):
        logits = run.unet(stack).float()
    value = loss(logits, target, near)
    run.optimiser.zero_grad(set_to_none=True)
    value.backward()
    run.optimiser.step()
    return float(value.detach())


def loss(logits: torch.Tensor, target: torch.Tensor, near: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy plus soft Dice over the batch: lesions are judged in and at the lung, the lung everywhere.

    ``logits`` and ``target`` are float (batch, outputs, rows, columns), the lung last; ``near`` float
    (batch, 1, rows, columns).
    """
    where = near.expand_as(target).clone()
    where[:, network.LUNG] = 1
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none") * where
    cross = entropy.sum(dim=(0, 2, 3)) / where.sum(dim=(0, 2, 3)).clamp(min=1)
    probability = logits.sigmoid() * where
    overlap = (probability * target).sum(dim=(0, 2, 3))
    total = probability.sum(dim=(0, 2, 3)) + target.sum(dim=(0, 2, 3))
    each = cross + 1 - (2 * overlap + 1) / (total + 1)
    return each[: network.LUNG].mean() + LUNG_WEIGHT * each[network.LUNG]


def _fingerprint(plan: TrainingPlan) -> str:
    deciding: dict[str, Any] = {name: value for name, value in asdict(plan).items() if name not in FREE}
    return json.dumps(deciding, sort_keys=True, default=str)


def _save(run: Run, path: Path, plan: TrainingPlan) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    stored = {
        "plan": _fingerprint(plan),
        "network": run.unet.state_dict(),
        "optimiser": run.optimiser.state_dict(),
        "step": run.step,
        "spent_s": run.spent_s,
        "losses": run.losses,
    }
    torch.save(stored, part)
    part.replace(path)


def _restore(run: Run, path: Path, plan: TrainingPlan) -> None:
    device = next(run.unet.parameters()).device
    stored = torch.load(path, map_location=device, weights_only=True)
    if stored["plan"] != _fingerprint(plan):
        raise CheckpointOfAnotherPlan(
            f"{path.name} was left by a run with other options; delete it to begin anew, or write to another file"
        )
    run.unet.load_state_dict(stored["network"])
    run.optimiser.load_state_dict(stored["optimiser"])
    run.step, run.spent_s, run.losses = stored["step"], stored["spent_s"], stored["losses"]
