"""How good a model is on patients it has not seen: each scored, then all together."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from worker.analysis import goh
from worker.analysis.patterns import model as pattern_model
from worker.analysis.patterns.model import PatternModel
from worker.phantom.chest_ct import render
from worker.training.data import layouts
from worker.training.data.cases import CasePlan
from worker.training.data.labelled import from_phantom
from worker.training.evaluation import agreement, score
from worker.training.evaluation.score import PatientScore, Region

# Seeds of phantoms held out begin here; training seeds stay far below. Calibration takes the first, scoring those
# after.
CALIBRATION_SEED, HELD_OUT_SEED = 1_000_000, 2_000_000
Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class PhantomScorer:
    """Scores one phantom by its seed: the work of one process."""

    weights: Path
    device: str
    case: CasePlan

    def __call__(self, seed: int) -> PatientScore:
        """Draw, segment and compare. Kernel and noise come from the bands that training leaves out."""
        return score.patient(
            from_phantom(render(self.case.spec(seed, held_out=True))), _loaded(self.weights, self.device)
        )


_models: dict[tuple[Path, str], PatternModel] = {}


def _loaded(weights: Path, device: str) -> PatternModel:
    """Load a model once per process."""
    if (weights, device) not in _models:
        _models[weights, device] = pattern_model.load(weights, device)
    return _models[weights, device]


def phantoms(scorer: PhantomScorer, seeds: Sequence[int], processes: int, report: Report) -> list[PatientScore]:
    """Score phantoms, several at a time."""
    rows = []
    for row in _mapped(scorer, seeds, processes):
        rows.append(row)
        report("scoring phantoms", len(rows), len(seeds))
    return rows


def _mapped(scorer: PhantomScorer, seeds: Sequence[int], processes: int) -> Iterator[PatientScore]:
    if processes == 1:
        yield from map(scorer, seeds)
        return
    # Threads of torch do not survive a fork, and each process has a core of its own.
    with get_context("spawn").Pool(processes, initializer=partial(torch.set_num_threads, 1)) as pool:
        yield from pool.imap(scorer, seeds)


def dataset(path: Path, patients: Sequence[str], model: PatternModel, report: Report) -> list[PatientScore]:
    """Score patients of a labelled data set. Raises DatasetRejected, or InputRejected where no lungs are found."""
    rows = []
    for labelled in layouts.labelled(path, patients):
        rows.append(score.patient(labelled, model))
        report(f"scoring {path.stem}", len(rows), len(patients))
    return rows


def pooled(rows: Sequence[PatientScore]) -> dict[str, Any]:
    """Return what all patients say together.

    Dice is the mean over those with disease, false extent the mean over the healthy, errors are in points of extent.
    None stands where there
    are no such patients.
    """
    ill, healthy = [row for row in rows if not row.healthy], [row for row in rows if row.healthy]
    true, found = ([getattr(row.regions["total"], name) for row in rows] for name in ("true_pct", "found_pct"))
    stages = [[goh.category(value) for value in values] for values in (true, found)]
    false = [row.regions["total"].found_pct for row in healthy]
    return {
        "patients": len(rows),
        "healthy": len(healthy),
        "regions": {name: _region([row.regions[name] for row in rows], ill, name) for name in score.REGIONS},
        "false_extent_healthy_pct": _mean(false),
        "false_extent_healthy_worst_pct": round(max(false), 3) if false else None,
        "goh_agreement_pct": _mean([100.0 * (a == b) for a, b in zip(*stages, strict=True)]),
        "goh_kappa": _rounded(agreement.cohen_kappa(*stages)),
        "lung_mask": {
            "dice": _mean([row.lung_mask.dice for row in rows]),
            "dice_worst": _rounded(min((row.lung_mask.dice or 0.0 for row in rows), default=None)),
            "dice_threshold_alone": _mean([row.lung_mask.dice_threshold for row in rows]),
            "dice_threshold_alone_worst": _rounded(
                min((row.lung_mask.dice_threshold or 0.0 for row in rows), default=None)
            ),
        },
    }


def _region(rows: Sequence[Region], ill: Sequence[PatientScore], name: str) -> dict[str, Any]:
    true, found = [row.true_pct for row in rows], [row.found_pct for row in rows]
    limits = agreement.bland_altman(true, found)
    with_it = [row.regions[name] for row in ill if row.regions[name].true_pct > 0]
    return {
        "dice": _mean([row.dice or 0.0 for row in with_it]),
        "dice_in_true_lung": _mean([row.dice_in_true_lung or 0.0 for row in with_it]),
        "error_points": _mean([abs(f - t) for t, f in zip(true, found, strict=True)]),
        "bland_altman": {key: round(value, 3) for key, value in asdict(limits).items()} if limits else None,
        "icc_2_1": _rounded(agreement.icc_2_1(true, found)),
        "bounds_points": _of_known([row.width_points for row in rows], np.median),
        "held_by_bounds_pct": _mean([None if row.is_held is None else 100.0 * row.is_held for row in rows]),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    return _of_known(values, np.mean)


def _of_known(values: Sequence[float | None], statistic: Callable[[list[float]], Any]) -> float | None:
    known = [value for value in values if value is not None]
    return round(float(statistic(known)), 4) if known else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
