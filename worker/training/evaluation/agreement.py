"""How well two raters of the same patients agree: the statistics of the field, on extents in percent of lung."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from worker.analysis.goh import Goh

# 95 % of differences lie within so many standard deviations of their mean (Bland and Altman, Lancet 1986).
NORMAL_95 = 1.96


@dataclass(frozen=True)
class BlandAltman:
    """Mean difference (found − true) and the limits within which 95 % of differences lie, in points of extent."""

    bias: float
    lower: float
    upper: float


def bland_altman(true: ArrayLike, found: ArrayLike) -> BlandAltman | None:
    """Return bias and limits of agreement; None for fewer than two patients."""
    difference = np.asarray(found, float) - np.asarray(true, float)
    if difference.size < 2:
        return None
    bias, spread = float(difference.mean()), NORMAL_95 * float(difference.std(ddof=1))
    return BlandAltman(bias, bias - spread, bias + spread)


def icc_2_1(*raters: ArrayLike) -> float | None:
    """Return ICC(2,1): two-way random effects, absolute agreement, single rater (Shrout and Fleiss 1979).

    Each rater gives one value for each patient. None for fewer than two patients, or where nobody sees any difference.
    """
    ratings: NDArray[np.float64] = np.stack([np.asarray(one, float) for one in raters], axis=1)
    n, k = ratings.shape
    if n < 2:
        return None
    mean = ratings.mean()
    patients = k * float(((ratings.mean(axis=1) - mean) ** 2).sum())
    judges = n * float(((ratings.mean(axis=0) - mean) ** 2).sum())
    rest = float(((ratings - mean) ** 2).sum()) - patients - judges
    between, across, error = patients / (n - 1), judges / (k - 1), rest / ((n - 1) * (k - 1))
    denominator = between + (k - 1) * error + k * (across - error) / n
    return (between - error) / denominator if denominator > 0 else None


def cohen_kappa(true: list[Goh], found: list[Goh]) -> float | None:
    """Return Cohen's κ without weights; None where chance alone would agree wholly."""
    agreed = float(np.mean([a == b for a, b in zip(true, found, strict=True)])) if true else 0.0
    by_chance = sum(true.count(kind) * found.count(kind) for kind in Goh) / max(len(true), 1) ** 2
    return (agreed - by_chance) / (1 - by_chance) if true and by_chance < 1 else None
