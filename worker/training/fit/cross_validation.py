"""Cross-validation of labelled data: as many models as folds, each patient judged by the one that never saw it."""

from dataclasses import replace
from pathlib import Path

from worker.training.data import dataset_file
from worker.training.data.split import Fold
from worker.training.errors import TrainingError
from worker.training.evaluation import report
from worker.training.evaluation.evaluate import Report
from worker.training.evaluation.report import Evaluation
from worker.training.fit import train
from worker.training.fit.plan import TrainingPlan
from worker.training.fit.train import Show


def run(plan: TrainingPlan, folds: int, command: str, tell: Report, show: Show = lambda _: None) -> Evaluation:
    """Train a model for each fold, and write what all patients say together.

    Beside the weights of the plan lie those of the folds, ``NAME-fold-1.safetensors`` and so on, and the report in
    ``NAME-folds``. A run that was cut off goes on where it stopped.

    Raises
    ------
    TrainingError
        As :func:`worker.training.fit.train.run`; ``folds_unfit`` without labelled data or with fewer than three folds.
    """
    if not plan.datasets:
        raise TrainingError("only labelled data are cross-validated: name them by --dataset", code="folds_unfit")
    trained = []
    for index in range(folds):
        own = replace(plan, out=_beside(plan.out, f"fold-{index + 1}.safetensors"), fold=Fold(index, folds))
        trained.append(train.run(own, _of_fold(tell, index + 1), show if index == 0 else lambda _: None))
    names = ", ".join(dataset_file.read(path).name for path in plan.datasets)
    found = Evaluation(
        of=f"{folds}-fold cross-validation of {names}",
        weights=", ".join(one.card["digest"] for one in trained),
        intended_use=trained[0].card["intended_use"],
        command=command,
        patients=tuple(row for one in trained for row in one.scores),
    )
    report.write(found, folder_of(plan))
    return found


def folder_of(plan: TrainingPlan) -> Path:
    """Return where the report of a cross-validation lies."""
    return _beside(plan.out, "folds")


def _beside(out: Path, name: str) -> Path:
    return out.with_name(f"{out.stem}-{name}")


def _of_fold(tell: Report, number: int) -> Report:
    return lambda what, done, total: tell(f"fold {number}: {what}", done, total)
