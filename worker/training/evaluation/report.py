"""An evaluation as files: a table for people, JSON for machines, figures for both."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from worker.training.evaluation import evaluate, figures, readers, summary
from worker.training.evaluation.dense_lungs import DenseLungRow
from worker.training.evaluation.lines import LinesRow
from worker.training.evaluation.readers import Readers
from worker.training.evaluation.score import PatientScore
from worker.training.evaluation.summary import said
from worker.training.evaluation.sweep import SweepRow

DENSE_LUNGS_HEAD = ("nearly solid, % of lung", "Dice, lung mask", "Dice, threshold alone", "lesion left outside, %")
SWEEP_HEAD = ("what varies", "value", "Dice lesion", "Dice reticulation", "bias of extent, points", "error, points")

LINES_HEAD = ("lesion", "kernel", "slice, mm", "found", "called reticulation", "Dice reticulation")


@dataclass(frozen=True)
class Evaluation:
    """What was scored, by which weights, with which result.

    ``weights`` is the digest, or several with a comma between where every patient has a model of its own.
    ``intended_use`` is what the card of the model says. ``repeatability_points`` is the mean change of extent between
    two scans that differ in their noise alone; None without a sweep. ``readers`` are those of images that several
    people have drawn on: the model is judged by the one whom the data set names first.
    """

    of: str
    weights: str
    intended_use: str
    command: str
    patients: tuple[PatientScore, ...]
    dense_lungs: tuple[DenseLungRow, ...] = ()
    sweep: tuple[SweepRow, ...] = ()
    repeatability_points: float | None = None
    lines: tuple[LinesRow, ...] = ()
    readers: tuple[Readers, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return everything, pooled and patient by patient."""
        return {**asdict(self), "pooled": evaluate.pooled(self.patients)}


def write(evaluation: Evaluation, folder: Path) -> None:
    """Write ``evaluation.md``, ``evaluation.json`` and the figures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evaluation.json").write_text(json.dumps(evaluation.as_json(), indent=1) + "\n", encoding="utf-8")
    (folder / "evaluation.md").write_text(markdown(evaluation), encoding="utf-8")
    figures.bland_altman(evaluation.patients, folder / "bland-altman.png")
    if evaluation.sweep:
        figures.sweep(evaluation.sweep, folder / "sweep.png")


def markdown(evaluation: Evaluation) -> str:
    """Return the evaluation for people."""
    pooled = evaluate.pooled(evaluation.patients)
    parts = [
        f"# Evaluation: {evaluation.of}\n\n**{evaluation.intended_use}**\n",
        f"Weights {_short(evaluation.weights)}. Made by\n\n    {evaluation.command}\n",
        "## Together\n",
        table(["score", "value"], summary.rows(pooled, evaluation.repeatability_points)),
        "![Bland–Altman plots of total extent and reticulation](bland-altman.png)\n",
        "## Patient by patient\n",
        _patients_table(evaluation.patients),
    ]
    if evaluation.readers:
        parts += ["## Readers among themselves\n", table(readers.HEAD, readers.table_rows(evaluation.readers))]
    if evaluation.dense_lungs:
        parts += ["## The lung mask of lungs with dense disease\n", _numbers(DENSE_LUNGS_HEAD, evaluation.dense_lungs)]
    if evaluation.lines:
        title = "## Lines and density: the same lesions, with and without lines, inside the true lungs\n"
        parts += [title, _numbers(LINES_HEAD, evaluation.lines)]
    if evaluation.sweep:
        title = "## Kernel, noise and thickness, inside the true lungs\n"
        parts += [title, _numbers(SWEEP_HEAD, evaluation.sweep), "![Sweep](sweep.png)\n"]
    return "\n".join(parts)


def _short(digests: str) -> str:
    return ", ".join(f"`{digest[:16]}…`" for digest in digests.split(", "))


def _patients_table(patients: Sequence[PatientScore]) -> str:
    head = [
        "patient",
        "extent true",
        "found",
        "reticulation true",
        "found",
        "Dice lesion",
        "Dice reticulation",
        "Dice lung mask",
        "threshold",
    ]
    rows = []
    for row in patients:
        total, reticulation = row.regions["total"], row.regions["reticulation"]
        values = (
            total.true_pct,
            total.found_pct,
            reticulation.true_pct,
            reticulation.found_pct,
            total.dice,
            reticulation.dice,
        )
        shown = [said(value) for value in (*values, row.lung_mask.dice, row.lung_mask.dice_threshold)]
        rows.append([row.patient, *shown])
    return table(head, rows)


def _numbers(head: Sequence[str], rows: Sequence[DenseLungRow | LinesRow | SweepRow]) -> str:
    return table(head, [[v if isinstance(v, str) else said(v) for v in asdict(row).values()] for row in rows])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
