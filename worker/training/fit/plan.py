"""The plan of a training run: everything that decides its outcome."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from worker.training.data.cases import CasePlan
from worker.training.data.crops import CropPlan
from worker.training.data.split import Fold
from worker.training.errors import TrainingError

# Results say name, version and origin in an attribute of 64 characters, and " (synthetic and labelled)" has 25.
LONGEST_NAME: Final = 39
FEWEST_FOLDS: Final = 3


@dataclass(frozen=True)
class TrainingPlan:
    """Where a training run reads and writes, how long it goes on, and on what.

    A name and version that results cannot say raise TrainingError (``model_name_unfit``), and so does a fold that
    cannot be (``folds_unfit``), and slices without lines where no model says what is diseased (``teacher_missing``).

    Attributes
    ----------
    out
        The safetensors file to write; its card lies beside it as ``.json`` and ``.md``, the checkpoint of an
        unfinished run as ``.checkpoint``.
    cache
        Folder for drawn phantoms; those it holds already are used again.
    cases
        Number of phantoms to train on.
    healthy
        Folder of CT series of healthy lungs to paint lesions into; None for none.
    painted
        Number of painted cases.
    without_lines
        Folder of axial CT images of diseased lungs that show no lines; None for none.
    teacher
        The model that says what is diseased there; None for that of ``start_from``.
    datasets
        YAML files of labelled data.
    steps
        Number of optimiser steps, unless ``epochs`` is given.
    epochs
        So many times as many crops as there are slices to train on; None takes ``steps``.
    minutes
        Training stops after so many minutes even if steps remain; the schedule follows whichever ends first.
    held_out
        Number of phantoms to calibrate on, and as many others to score on. Where there are labelled data, their own
        sides serve instead.
    start_from
        Weights of an earlier run to go on from, with their card beside them; None begins at random.
    average_with
        Weights of earlier runs, their cards beside them; what is written is the mean of theirs and of this run's.
    fold
        Which fold of a cross-validation of the data sets this is; None for a run by itself.
    step_mm
        In-plane voxel size at which slices will be shown to the network at work; about that of the training cases.
    """

    out: Path
    cache: Path
    name: str = "ssc-ild-unet-site"
    version: str = "1"
    cases: int = 48
    healthy: Path | None = None
    painted: int = 0
    without_lines: Path | None = None
    teacher: Path | None = None
    datasets: tuple[Path, ...] = ()
    steps: int = 20_000
    epochs: int | None = None
    minutes: float = 60.0
    batch: int = 8
    learning_rate: float = 1e-3
    held_out: int = 12
    seed: int = 0
    device: str = "auto"
    processes: int = 2
    start_from: Path | None = None
    average_with: tuple[Path, ...] = ()
    fold: Fold | None = None
    step_mm: float = 0.7
    case: CasePlan = field(default_factory=CasePlan)
    crop: CropPlan = field(default_factory=CropPlan)

    @property
    def forerunners(self) -> tuple[Path, ...]:
        """The weights in which those of this run have their origin."""
        return ((self.start_from,) if self.start_from else ()) + self.average_with

    def __post_init__(self) -> None:
        """Refuse what cannot be before an hour is spent on it."""
        said = f"{self.name} {self.version}"
        if len(said) > LONGEST_NAME or "\\" in said or not said.isprintable() or not self.name.strip():
            message = f"name and version have at most {LONGEST_NAME} characters together, none of them a backslash"
            raise TrainingError(message, code="model_name_unfit")
        if self.fold and not (self.fold.of >= FEWEST_FOLDS and 0 <= self.fold.index < self.fold.of):
            message = (
                f"a cross-validation has at least {FEWEST_FOLDS} folds: one judged, one to calibrate on, one learnt"
            )
            raise TrainingError(message, code="folds_unfit")
        if self.without_lines and not (self.teacher or self.start_from):
            message = "slices without lines are labelled by a model: name one by --teacher or --start-from"
            raise TrainingError(message, code="teacher_missing")
