"""What decides a training run."""

from dataclasses import dataclass, field
from pathlib import Path

from worker.training.dataset import CasePlan, CropPlan


@dataclass(frozen=True)
class TrainingPlan:
    """Where a training run reads and writes, how long it goes on, and on what.

    Attributes
    ----------
    out
        The safetensors file to write; its card lies beside it as ``.json`` and ``.md``.
    cache
        Folder for rendered phantoms; those it holds already are used again.
    cases
        Number of phantoms to train on.
    steps
        Number of optimiser steps.
    minutes
        Training stops after so many minutes even if steps remain; the schedule follows whichever ends first.
    held_out
        Number of phantoms to calibrate on, and as many others to score on.
    start_from
        Weights of an earlier run to go on from, with their card beside them; None begins at random.
    step_mm
        In-plane voxel size at which slices will be shown to the network at work; about that of the training cases.
    """

    out: Path
    cache: Path
    name: str = "phantom"
    version: str = "1"
    cases: int = 80
    steps: int = 6000
    minutes: float = 60.0
    batch: int = 8
    learning_rate: float = 2e-3
    held_out: int = 6
    seed: int = 0
    device: str = "auto"
    processes: int = 2
    start_from: Path | None = None
    step_mm: float = 0.8
    case: CasePlan = field(default_factory=CasePlan)
    crop: CropPlan = field(default_factory=CropPlan)
