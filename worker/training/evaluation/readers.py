"""How far two readers of one image agree: what a model can at best be asked for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from worker.training.data import dataset_file, layouts
from worker.training.data.labelled import Labelled
from worker.training.evaluation import score
from worker.training.evaluation.summary import said

HEAD = ("readers", "Dice lesion", "Dice ground glass", "Dice reticulation", "extents, %", "difference, points")


@dataclass(frozen=True)
class Readers:
    """Two readers of one image: by region the Dice of their marks, and the extents in percent of each one's lung."""

    first: str
    second: str
    dice: dict[str, float | None]
    extents_pct: dict[str, tuple[float, float]]

    def difference_points(self, region: str) -> float:
        """Return the extent of the second less that of the first."""
        first, second = self.extents_pct[region]
        return second - first


def of(path: Path, patients: Sequence[str] | None = None) -> list[Readers]:
    """Compare the readers of every image that several have drawn on; of some patients alone where they are named.

    Raises
    ------
    DatasetRejected
        A scan cannot be read.
    """
    described = dataset_file.read(path)
    wanted = described.patients if patients is None else patients
    return [
        row
        for scans in described.read_twice
        if scans[0].patient in wanted
        for row in pairs([layouts.one(scan, described, path.parent) for scan in scans])
    ]


def pairs(drawn: Sequence[Labelled]) -> Iterator[Readers]:
    """Compare each with each."""
    for first, second in combinations(drawn, 2):
        yield compared(first, second)


def compared(first: Labelled, second: Labelled) -> Readers:
    """Compare two readers of one image."""
    masks = {
        name: [np.isin(one.patterns.labels, labels) for one in (first, second)]
        for name, labels in score.REGIONS.items()
    }
    lungs = [one.lungs.labels > 0 for one in (first, second)]
    return Readers(
        first.name,
        second.name,
        {name: score.dice(*both) for name, both in masks.items()},
        {name: (score.percent(both[0], lungs[0]), score.percent(both[1], lungs[1])) for name, both in masks.items()},
    )


def table_rows(rows: Sequence[Readers]) -> list[list[str]]:
    """Return the lines below :data:`HEAD`, one a pair."""
    return [
        [
            f"{row.first} – {row.second}",
            *(said(row.dice[name]) for name in ("total", "ggo", "reticulation")),
            "{:.1f} – {:.1f}".format(*row.extents_pct["total"]),
            f"{row.difference_points('total'):+.1f}",
        ]
        for row in rows
    ]
