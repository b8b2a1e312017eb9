"""Chooses the best of several reconstructions of one study by a stated preference; functions of values."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from dicom_node.series.facts import SeriesFacts

Quality = Literal["thickness", "kernel", "slices"]
Rank = tuple[tuple[Quality, float, str], ...]
# How vendors write kernels: Siemens B, I, Br and Bl with a number, GE words, Philips letters, Canon FC with a number.
LUNG_KERNELS = ("LUNG", "BONE*", "EDGE", "B[6-8]*", "BL*", "BR[6-8]*", "I[6-8]*", "L", "YC", "YD", "YE", "FC5*", "FC8*")
SOFT_KERNELS = ("STANDARD", "SOFT", "DETAIL", "CHST", "B[1-4]*", "BR[1-4]*", "I[1-4]*", "A", "B", "C", "FC0*", "FC1*")
# Stands for a thickness that no header gives: any other reconstruction is then preferred.
UNKNOWN_MM = 1000.0


class Choice(BaseModel):
    """``[routing.choice]`` of the site file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    measure: Literal["best", "all"] = Field("best", description="Of the eligible series of a study")
    prefer: tuple[Quality, ...] = Field(("thickness", "kernel", "slices"), description="What counts, in order")
    kernel: Literal["lung", "soft"] = Field("lung", description="Which kernel is better")
    thin_mm: float = Field(1.5, gt=0, description="Slices thinner than this are no better")
    lung_kernels: tuple[str, ...] = LUNG_KERNELS
    soft_kernels: tuple[str, ...] = SOFT_KERNELS

    def kind(self, facts: SeriesFacts) -> str:
        """Return ``lung``, ``soft`` or ``unknown``."""
        for name, patterns in (("lung", self.lung_kernels), ("soft", self.soft_kernels)):
            if any(fnmatchcase(value, pattern.upper()) for value in facts.kernel for pattern in patterns):
                return name
        return "unknown"

    def rank(self, facts: SeriesFacts) -> Rank:
        """Return (quality, number of which less is better, text for people) of each quality, in order of preference."""
        kind = self.kind(facts)
        thickness_mm = facts.thickness_mm or UNKNOWN_MM
        ranks: dict[Quality, tuple[float, str]] = {
            "thickness": (max(thickness_mm, self.thin_mm), f"{facts.thickness_mm} mm"),
            "kernel": ({self.kernel: 0.0, "unknown": 1.0}.get(kind, 2.0), f"{kind} kernel"),
            "slices": (-float(facts.slices), f"{facts.slices} slices"),
        }
        return tuple((quality, *ranks[quality]) for quality in self.prefer)


@dataclass(frozen=True)
class Chosen:
    """The best series of a study, and for each of the others what it is worse in."""

    series_uid: str
    others: Mapping[str, dict[str, Any]]


def choose(choice: Choice, candidates: Mapping[str, SeriesFacts]) -> Chosen:
    """Choose the best of at least one candidate; between equals the UID decides, so the result depends on no order."""
    ranks = {uid: choice.rank(facts) for uid, facts in candidates.items()}
    best = min(ranks, key=lambda uid: ([number for _, number, _ in ranks[uid]], uid))
    others = {uid: {"chosen": best, **_difference(rank, ranks[best])} for uid, rank in ranks.items() if uid != best}
    return Chosen(best, others)


def _difference(rank: Rank, best: Rank) -> dict[str, str]:
    for (quality, number, shown), (_, best_number, best_shown) in zip(rank, best, strict=True):
        if number != best_number:
            return {"by": quality, "this": shown, "better": best_shown}
    return {"by": "uid", "this": "equal in all", "better": "equal in all"}
