"""Splits patients, never slices, into those to train on, to calibrate on and to judge."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from worker.training.data.dataset_file import DatasetFile
from worker.training.data.scans import Side
from worker.training.errors import DatasetRejected

# Of the patients whose side the data set leaves open.
HELD_OUT_SHARE = 0.2
LEAST_PATIENTS = 3
# Names of patients by the side that they must not be on.
Barred = Mapping[Side, frozenset[str]]


@dataclass(frozen=True)
class Split:
    """The patients of each side.

    Building one with a patient on two sides raises DatasetRejected (``patient_on_both_sides``).
    """

    train: frozenset[str]
    calibrate: frozenset[str]
    test: frozenset[str]

    def __post_init__(self) -> None:
        """Refuse what would make every score worthless."""
        count = Counter(patient for side in (self.train, self.calibrate, self.test) for patient in side)
        if twice := sorted(patient for patient, sides in count.items() if sides > 1):
            raise DatasetRejected(
                f"on more than one side of the split: {', '.join(twice)}; scores on patients trained on say nothing",
                code="patient_on_both_sides",
                detail={"patients": twice},
            )

    def as_json(self) -> dict[str, list[str]]:
        """Return the names of each side, in order."""
        return {side: sorted(getattr(self, side)) for side in Side}


@dataclass(frozen=True)
class Fold:
    """One of several folds of a cross-validation, counted from 0."""

    index: int
    of: int


def assign(described: DatasetFile, seed: int = 0, barred: Barred | None = None, fold: Fold | None = None) -> Split:
    """Return the split of a data set: as its scans name it, the rest by a hash of the patient's name.

    Parameters
    ----------
    barred
        Who must not be on a side, because the model that training goes on from knows them: they are trained on.
    fold
        Which part is judged; the next one calibrates. Over all folds each patient without a named side is judged
        once; those named to be tested rest, for a later model.

    Raises
    ------
    DatasetRejected
        ``patient_on_both_sides``: somebody is named for two sides, or for one where they are barred;
        ``too_few_patients``: fewer than three without a named side, fewer than there are folds, or nobody is left
        for a side.
    """
    named = {side: {scan.patient for scan in described.scans if scan.side == side} for side in Side}
    chosen = set().union(*named.values())
    rest = _dealt([patient for patient in described.patients if patient not in chosen], seed, fold)
    if fold:
        named[Side.test] = set()
    for side, known in (barred or {}).items():
        _require_allowed(side, sorted(named[side] & known))
        moved = rest[side] & known
        rest[Side.train] |= moved
        rest[side] -= moved
        if moved and not named[side] | rest[side]:
            message = f"the model that this run goes on from knows all who would be there to {side}; add patients"
            raise DatasetRejected(message, code="too_few_patients")
    return Split(*(frozenset(named[side] | rest[side]) for side in (Side.train, Side.calibrate, Side.test)))


def _require_allowed(side: Side, wrong: Sequence[str]) -> None:
    if wrong:
        raise DatasetRejected(
            f"named to {side}, but known to the model that this run goes on from: {', '.join(wrong)}",
            code="patient_on_both_sides",
            detail={"patients": list(wrong)},
        )


def _dealt(patients: Iterable[str], seed: int, fold: Fold | None) -> dict[Side, set[str]]:
    ordered = sorted(patients, key=lambda patient: hashlib.sha256(f"{seed} {patient}".encode()).digest())
    if not ordered:
        return {side: set() for side in Side}
    if len(ordered) < LEAST_PATIENTS:
        message = f"{len(ordered)} patients cannot be split three ways; name a side for each, or add patients"
        raise DatasetRejected(message, code="too_few_patients")
    if fold:
        return _folded(ordered, fold)
    held = max(1, round(HELD_OUT_SHARE * len(ordered)))
    return {
        Side.test: set(ordered[:held]),
        Side.calibrate: set(ordered[held : 2 * held]),
        Side.train: set(ordered[2 * held :]),
    }


def _folded(ordered: Sequence[str], fold: Fold) -> dict[Side, set[str]]:
    if len(ordered) < fold.of:
        raise DatasetRejected(f"{len(ordered)} patients are too few for {fold.of} folds", code="too_few_patients")
    parts = [set(ordered[start :: fold.of]) for start in range(fold.of)]
    calibrate = (fold.index + 1) % fold.of
    learnt = [part for number, part in enumerate(parts) if number not in {fold.index, calibrate}]
    return {Side.test: parts[fold.index], Side.calibrate: parts[calibrate], Side.train: set().union(*learnt)}
