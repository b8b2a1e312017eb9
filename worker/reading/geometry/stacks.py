"""The stacks inside one series: several acquisitions, reconstructions or phases are told apart by what they declare."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from db.image_plane import POSITION_TOLERANCE_MM
from worker.errors import InputRejected
from worker.reading.geometry import gate
from worker.reading.geometry.gate import FEWEST_SLICES
from worker.reading.geometry.placement import TRAITS, Placement

# A time differs from slice to slice in one and the same acquisition: it tells no two stacks apart.
DIVIDING = tuple(trait for trait in TRAITS if trait != "AcquisitionTime")
# A trait with more values than this counts slices, not stacks.
MOST_STACKS = 20
# Why a part may stand beside the stack that is measured: it is whole, and something else. Every other refusal is a
# sign of damage, and damage of one part makes the division itself doubtful.
OTHER_KINDS = frozenset({"not_axial", "gantry_tilt", "too_few_slices"})


@dataclass(frozen=True, eq=False)
class Part:
    """Slices of a series that belong together.

    Attributes
    ----------
    members
        Indices into the placements.
    stack
        Where they lie; None where they are no stack that could be measured.
    declares
        The traits by which they differ from the other parts, for people.
    """

    members: tuple[int, ...]
    stack: gate.Stack | None
    declares: str = ""


def find(placements: Sequence[Placement]) -> tuple[Part, ...]:
    """Return the parts of a series, at least one of them a stack; a single one where the series is one stack.

    A series is divided only if its slices make no one stack, only by attributes that say so themselves, and only if
    every part is whole. Geometry alone never divides: it would hide a damaged slice as a stack of its own.

    Raises
    ------
    InputRejected
        Why the slices are no stack (see :func:`worker.reading.geometry.gate.stack`), where nothing divides them.
    """
    try:
        return (Part(tuple(range(len(placements))), gate.stack(placements)),)
    except InputRejected:
        for traits in _divisions(placements):
            parts = _divided(placements, traits)
            if parts is not None:
                return parts
        raise


def _divisions(placements: Sequence[Placement]) -> Iterator[tuple[str, ...]]:
    """Yield sets of traits that may divide the slices, the smallest sets first."""
    varying = [t for t in DIVIDING if 1 < len({_value(p, t) for p in placements}) <= MOST_STACKS]
    for count in range(1, len(varying) + 1):
        yield from combinations(varying, count)


def _divided(placements: Sequence[Placement], traits: Iterable[str]) -> tuple[Part, ...] | None:
    """Return the parts by some traits; None where one of them is damaged, or none is a stack."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for index, placement in enumerate(placements):
        groups.setdefault(tuple(_value(placement, trait) for trait in traits), []).append(index)
    parts: list[Part] = []
    for values, members in groups.items():
        inside = [placements[i] for i in members]
        declares = ", ".join(f"{trait} {value or 'absent'}" for trait, value in zip(traits, values, strict=True))
        try:
            parts.append(Part(tuple(members), gate.stack(inside), declares))
        except InputRejected as refused:
            if refused.code not in OTHER_KINDS and not _is_at_few_places(inside):
                return None
            parts.append(Part(tuple(members), None, declares))
    return None if _is_doubtful(placements, parts) else tuple(parts)


def _is_doubtful(placements: Sequence[Placement], parts: Sequence[Part]) -> bool:
    """Whether no part is a stack, or a small part goes on where a stack ends: a piece of it, not something else."""
    stacks = [[placements[i] for i in part.members] for part in parts if part.stack is not None]
    rests = [placements[i] for part in parts if part.stack is None for i in part.members]
    return not stacks or any(_goes_on(rest, stack) for rest in rests for stack in stacks)


def _goes_on(one: Placement, stack: Sequence[Placement]) -> bool:
    if not gate.are_alike(one, stack[0]):
        return False
    normal = stack[0].normal
    heights = [float(normal @ placement.position_mm) for placement in stack]
    height = float(normal @ one.position_mm)
    return not min(heights) - POSITION_TOLERANCE_MM <= height <= max(heights) + POSITION_TOLERANCE_MM


def _is_at_few_places(placements: Sequence[Placement]) -> bool:
    """Whether the slices watch a few places over time, as those do that wait for the contrast agent."""
    return len({tuple(round(v, 1) for v in p.position_mm) for p in placements}) < FEWEST_SLICES


def _value(placement: Placement, trait: str) -> str:
    return placement.traits[TRAITS.index(trait)]
