"""Two models side by side, judged on the same patients."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from worker.analysis import card as model_card
from worker.training.evaluation import evaluate, judge, report, summary
from worker.training.evaluation.evaluate import Report
from worker.training.evaluation.judge import Request
from worker.training.evaluation.report import Evaluation
from worker.training.evaluation.score import PatientScore
from worker.training.evaluation.summary import said

PAIRED = ("total", "reticulation")
PARTS = ("first", "second")


@dataclass(frozen=True)
class Comparison:
    """Two evaluations of the same patients, and what the models are called."""

    titles: tuple[str, str]
    evaluations: tuple[Evaluation, Evaluation]

    def as_json(self) -> dict[str, Any]:
        """Return both models, each patient under both, and the paired differences."""
        models = [
            {"title": title, "weights": one.weights, "pooled": evaluate.pooled(one.patients)}
            for title, one in zip(self.titles, self.evaluations, strict=True)
        ]
        return {
            "of": self.evaluations[0].of,
            "models": models,
            "patients": [_patient(*rows) for rows in self.rows()],
            "paired": {name: paired(self.rows(), name) for name in PAIRED},
        }

    def rows(self) -> list[tuple[PatientScore, PatientScore]]:
        """Return the scores of each patient under both models."""
        first, second = (one.patients for one in self.evaluations)
        return list(zip(first, second, strict=True))


def run(asked: Request, against: Path, command: str, tell: Report) -> Comparison:
    """Judge two models on the same patients. Raises as :func:`worker.training.evaluation.judge.run`, for either."""
    requests = [replace(asked, weights=weights) for weights in (asked.weights, against)]
    cards = [model_card.read(one.weights) for one in requests]
    for one in requests:
        judge.require_unknown(one)
    first, second = (judge.run(one, command, tell) for one in requests)
    return Comparison((model_card.title(cards[0]), model_card.title(cards[1])), (first, second))


def paired(rows: Sequence[tuple[PatientScore, PatientScore]], region: str) -> dict[str, Any]:
    """Return how the second model does beside the first, patient by patient.

    Differences are second − first: of Dice over those with the region, of the error of extent, in points, over all.
    """
    both = [(first.regions[region], second.regions[region]) for first, second in rows]
    dice = [(b.dice or 0.0) - (a.dice or 0.0) for a, b in both if a.true_pct > 0]
    error = [abs(b.found_pct - b.true_pct) - abs(a.found_pct - a.true_pct) for a, b in both]
    return {
        "patients": len(both),
        "dice_difference": round(float(np.mean(dice)), 4) if dice else None,
        "dice_better": sum(one > 0 for one in dice),
        "dice_worse": sum(one < 0 for one in dice),
        "error_difference_points": round(float(np.mean(error)), 3) if error else None,
    }


def write(found: Comparison, folder: Path) -> None:
    """Write ``comparison.md`` and ``comparison.json``, and each model's own evaluation in a folder below."""
    for part, one in zip(PARTS, found.evaluations, strict=True):
        report.write(one, folder / part)
    (folder / "comparison.json").write_text(json.dumps(found.as_json(), indent=1) + "\n", encoding="utf-8")
    (folder / "comparison.md").write_text(markdown(found), encoding="utf-8")


def lines(found: Comparison) -> list[tuple[str, str, str]]:
    """Return (score, of the first, of the second) for people."""
    first, second = (summary.rows(evaluate.pooled(one.patients), one.repeatability_points) for one in found.evaluations)
    return [(name, a, b) for (name, a), (_, b) in zip(first, second, strict=True)]


def differences(found: Comparison) -> list[str]:
    """Return a sentence for each region: how the second model does beside the first."""
    return [_sentence(name, paired(found.rows(), name)) for name in PAIRED]


def markdown(found: Comparison) -> str:
    """Return both models side by side for people."""
    first, second = found.titles
    heads = ("patient", "extent true", f"found by {first}", f"by {second}", f"Dice {first}", f"Dice {second}")
    rows = [
        [one["patient"], said(one["true_pct"]), *map(said, one["found_pct"]), *map(said, one["dice"])]
        for one in found.as_json()["patients"]
    ]
    return "\n".join(
        [
            f"# {first} beside {second}: {found.evaluations[0].of}\n",
            *(f"**{title}: {one.intended_use}**\n" for title, one in zip(found.titles, found.evaluations, strict=True)),
            f"Made by\n\n    {found.evaluations[0].command}\n",
            report.table(("score", first, second), lines(found)),
            *(f"- {sentence}" for sentence in differences(found)),
            "\n## Patient by patient\n",
            report.table(heads, rows),
        ]
    )


def _patient(first: PatientScore, second: PatientScore) -> dict[str, Any]:
    totals = [one.regions["total"] for one in (first, second)]
    return {
        "patient": first.patient,
        "true_pct": totals[0].true_pct,
        "found_pct": [one.found_pct for one in totals],
        "dice": [one.dice for one in totals],
        "dice_reticulation": [one.regions["reticulation"].dice for one in (first, second)],
    }


def _sentence(region: str, both: dict[str, Any]) -> str:
    if both["dice_difference"] is None:
        return f"{summary.REGIONS[region]}: no patient has any"
    return (
        f"{summary.REGIONS[region]}: Dice of the second {both['dice_difference']:+.3f} "
        f"(better in {both['dice_better']}, worse in {both['dice_worse']} of {both['patients']} patients), "
        f"error of extent {both['error_difference_points']:+.2f} points"
    )
