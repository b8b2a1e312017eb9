"""``scleroscan evaluate``: who is judged, by which weights, and what is written of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from worker.analysis import card as model_card
from worker.analysis.patterns import model as pattern_model
from worker.training.data import dataset_file, patients, split, survey
from worker.training.data.cases import CasePlan
from worker.training.data.patients import Known
from worker.training.data.scans import Side
from worker.training.errors import DatasetRejected
from worker.training.evaluation import dense_lungs, evaluate, lines, readers, report, sweep
from worker.training.evaluation.dense_lungs import DenseLungRow
from worker.training.evaluation.evaluate import HELD_OUT_SEED, PhantomScorer, Report
from worker.training.evaluation.lines import LinesRow
from worker.training.evaluation.report import Evaluation
from worker.training.evaluation.score import PatientScore
from worker.training.evaluation.sweep import SweepRow

# Beyond every phantom that is scored one by one.
SWEEP_SEED, DENSE_SEED, LINES_SEED = 3_000_000, 4_000_000, 5_000_000
LINES_PATIENTS = 2
write = report.write


@dataclass(frozen=True)
class Request:
    """What to judge.

    ``datasets`` are YAML files, of which the test side is judged, or everyone; without any, so many ``phantoms``.
    ``sweep`` patients are acquired in other ways as well, and dense lungs segmented; 0 for neither. ``seed`` is that
    of the split.
    """

    weights: Path
    datasets: tuple[Path, ...] = ()
    everyone: bool = False
    phantoms: int = 30
    sweep: int = 3
    seed: int = 0
    device: str = "auto"
    processes: int = 2
    case: CasePlan = field(default_factory=CasePlan)


def run(asked: Request, command: str, tell: Report) -> Evaluation:
    """Judge a model.

    Raises
    ------
    DatasetRejected
        ``patient_on_both_sides``: the model, or one that it goes on from, was trained on one of the patients; or the
        data cannot be read.
    WeightsMismatch, DeviceUnavailable
        The model cannot be loaded.
    """
    judged = require_unknown(asked)
    for path in judged:
        survey.of(path, tell).require()
    rows = _patients(asked, judged, tell)
    varied: list[SweepRow] = []
    repeat: float | None = None
    dense: list[DenseLungRow] = []
    told: list[LinesRow] = []
    if asked.sweep:
        dense = dense_lungs.run(DENSE_SEED, tell, asked.case.side)
        model = pattern_model.load(asked.weights, asked.device)
        varied, repeat = sweep.run(range(SWEEP_SEED, SWEEP_SEED + asked.sweep), model, tell, asked.case.side)
        told = lines.run(range(LINES_SEED, LINES_SEED + LINES_PATIENTS), model, tell, asked.case.side)
    card = model_card.read(asked.weights)
    return Evaluation(
        of=_named(asked),
        weights=card["digest"],
        intended_use=model_card.statement(card),
        command=command,
        patients=tuple(rows),
        dense_lungs=tuple(dense),
        sweep=tuple(varied),
        repeatability_points=repeat,
        lines=tuple(told),
        readers=tuple(row for path, own in judged.items() for row in readers.of(path, own)),
    )


def _named(asked: Request) -> str:
    if not asked.datasets:
        return f"{asked.phantoms} held-out phantoms"
    names = ", ".join(dataset_file.read(path).name for path in asked.datasets)
    return names if asked.everyone else f"{names}, test side"


def require_unknown(asked: Request) -> dict[Path, Sequence[str]]:
    """Return who is judged of each data set. Raises DatasetRejected where the model knows one of them."""
    known = Known.by(model_card.read(asked.weights))
    judged: dict[Path, Sequence[str]] = {}
    for path in asked.datasets:
        described = dataset_file.read(path)
        judged[path] = described.patients if asked.everyone else sorted(split.assign(described, asked.seed).test)
        _require_unknown(judged[path], patients.barred(known, patients.digests(path, described))[Side.test])
    return judged


def _patients(asked: Request, judged: Mapping[Path, Sequence[str]], tell: Report) -> list[PatientScore]:
    if not judged:
        scorer = PhantomScorer(asked.weights, asked.device, asked.case)
        return evaluate.phantoms(scorer, range(HELD_OUT_SEED, HELD_OUT_SEED + asked.phantoms), asked.processes, tell)
    model = pattern_model.load(asked.weights, asked.device)
    return [row for path, own in judged.items() for row in evaluate.dataset(path, own, model, tell)]


def _require_unknown(judged: Sequence[str], known: frozenset[str]) -> None:
    if both := sorted(known.intersection(judged)):
        raise DatasetRejected(
            f"the model, or one it goes on from, was trained or calibrated on {', '.join(both)}; "
            "scores on them say nothing",
            code="patient_on_both_sides",
            detail={"patients": both},
        )
