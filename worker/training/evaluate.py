"""How good a model is on phantoms it has not seen."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.analysis import patterns
from worker.analysis.model import PatternModel
from worker.analysis.records import RETICULATION, LungMask
from worker.training.phantom import Phantom

BINS = 100


@dataclass(frozen=True)
class CaseScore:
    """One phantom: Dice per region (None where the region is truly and rightly empty), extents in percent of lung."""

    seed: int
    dice_lesion: float | None
    dice_reticulation: float | None
    extent_true_pct: float
    extent_found_pct: float
    reticulation_true_pct: float
    reticulation_found_pct: float


def score(phantom: Phantom, model: PatternModel, outline: LungMask | None = None) -> CaseScore:
    """Segment one phantom and compare.

    Parameters
    ----------
    outline
        The lungs to look in, as they were found; None takes the true ones.
    """
    inside = outline or phantom.lungs
    found = patterns.segment(phantom.volume, inside, model).labels
    true = phantom.patterns.labels
    true_lung, lung = (max(int((mask.labels > 0).sum()), 1) for mask in (phantom.lungs, inside))
    return CaseScore(
        seed=phantom.spec.seed,
        dice_lesion=dice(found > 0, true > 0),
        dice_reticulation=dice(found == RETICULATION, true == RETICULATION),
        extent_true_pct=100 * int((true > 0).sum()) / true_lung,
        extent_found_pct=100 * int((found > 0).sum()) / lung,
        reticulation_true_pct=100 * int((true == RETICULATION).sum()) / true_lung,
        reticulation_found_pct=100 * int((found == RETICULATION).sum()) / lung,
    )


def dice(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float | None:
    """Return the Dice coefficient, 0..1; None where there is nothing and nothing was found."""
    total = int(found.sum()) + int(true.sum())
    return 2 * int((found & true).sum()) / total if total else None


def summary(scores: Iterable[CaseScore]) -> dict[str, float | None]:
    """Return means over cases: Dice over those with disease, extent error over all, false extent over the healthy.

    None stands where there are no such cases.
    """
    rows = list(scores)
    ill = [row for row in rows if row.extent_true_pct > 0]
    healthy = [row for row in rows if row.extent_true_pct == 0]
    errors = [row.extent_found_pct - row.extent_true_pct for row in rows]
    reticular = [row for row in rows if row.reticulation_true_pct > 0]
    return {
        "cases": len(rows),
        "dice_lesion": _mean([row.dice_lesion or 0.0 for row in ill]),
        "dice_reticulation": _mean([row.dice_reticulation or 0.0 for row in reticular]),
        "extent_error_points": _mean([abs(error) for error in errors]),
        "extent_bias_points": _mean(errors),
        "healthy_cases": len(healthy),
        "false_extent_healthy_pct": _mean([row.extent_found_pct for row in healthy]),
    }


def _mean(values: list[float]) -> float | None:
    return round(float(np.mean(values)), 4) if values else None


def calibrate(phantoms: Iterable[Phantom], model: PatternModel) -> tuple[float, float]:
    """Return the thresholds for (lesion, reticulation) with the least mean error of extent."""
    found, true = [], []
    for phantom in phantoms:
        found.append(_share_above(phantom, model))
        labels, lung = phantom.patterns.labels, phantom.lungs.labels > 0
        true.append([(labels > 0)[lung].mean(), (labels == RETICULATION)[lung].mean()])
    # (cases, regions, thresholds) against (cases, regions, 1)
    errors = np.abs(np.array(found) - np.array(true)[:, :, None]).mean(axis=0)
    candidates = np.arange(BINS) / BINS
    usable = (candidates >= 0.2) & (candidates <= 0.8)
    best = [float(candidates[usable][np.argmin(errors[region][usable])]) for region in range(2)]
    return best[0], best[1]


def _share_above(phantom: Phantom, model: PatternModel) -> NDArray[np.float64]:
    """Return, for each region and threshold k/100, the share of lung whose probability lies above it."""
    inside = phantom.volume.to_anatomical(phantom.lungs.labels) > 0
    counts = np.zeros((2, BINS))
    for part in patterns.probabilities(phantom.volume, phantom.lungs, model):
        lung = inside[part.index, part.rows, part.columns]
        for region in range(2):
            values = np.clip((part.values[region][lung] * BINS).astype(int), 0, BINS - 1)
            counts[region] += np.bincount(values, minlength=BINS)
    share: NDArray[np.float64] = counts[:, ::-1].cumsum(axis=1)[:, ::-1] / max(int(inside.sum()), 1)
    return share
