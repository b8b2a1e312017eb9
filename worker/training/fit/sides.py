"""Puts the patients of a run's data sets on sides; whom the model to start from knows is never judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from worker.analysis import card as model_card
from worker.training.data import dataset_file, painted, patients, split
from worker.training.data.patients import Digests, Known
from worker.training.data.split import Split
from worker.training.errors import DatasetRejected
from worker.training.fit.plan import TrainingPlan


@dataclass(frozen=True)
class Sides:
    """The data sets of a run, each with the patients of its sides.

    Attributes
    ----------
    known
        Whom the model will know: its own patients and those of all that it goes on from.
    moved
        Number of patients who are learnt from, and not judged or calibrated on, because they were known before.
    """

    splits: tuple[Split, ...]
    known: Known
    moved: int

    @classmethod
    def from_plan(cls, plan: TrainingPlan) -> "Sides":
        """Read what the data sets say.

        Raises
        ------
        DatasetRejected
            A data set cannot be read, or cannot be split without judging somebody whom the model knows.
        WeightsMismatch
            The weights to go on from do not fit their card.
        """
        known = Known.by(*map(model_card.read, plan.forerunners))
        for folder in filter(None, (plan.healthy, plan.without_lines)):
            known = known.and_of(digest for one in painted.folders(folder) for digest in patients.of_series(one))
        splits, tested, moved = [], [], 0
        for path in plan.datasets:
            described = dataset_file.read(path)
            own = patients.digests(path, described)
            sided = split.assign(described, plan.seed, patients.barred(known, own), plan.fold)
            moved += len(sided.train - split.assign(described, plan.seed, fold=plan.fold).train)
            known = known.and_of(*(_all(own, side) for side in (sided.train, sided.calibrate)))
            tested += [(patient, own[patient]) for patient in sided.test]
            splits.append(sided)
        _require_apart(known, tested)
        return cls(tuple(splits), known, moved)


def _all(of: Mapping[str, Digests], names: frozenset[str]) -> Digests:
    return frozenset().union(*(of[name] for name in names))


def _require_apart(known: Known, tested: Sequence[tuple[str, Digests]]) -> None:
    """Refuse a patient whom one data set tests and a later one trains on."""
    if both := sorted(patient for patient, own in tested if own & known.anyhow):
        raise DatasetRejected(
            f"judged in one data set and trained on in another: {', '.join(both)}; name the side of each",
            code="patient_on_both_sides",
            detail={"patients": both},
        )
