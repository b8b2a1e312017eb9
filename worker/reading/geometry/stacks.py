"""Divides a series of several acquisitions, reconstructions or phases into stacks by what its slices declare."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from db.image_plane import POSITION_TOLERANCE_MM
from worker.errors import InputRejected
from worker.reading.geometry import gate
from worker.reading.geometry.gate import FEWEST_SLICES
from worker.reading.geometry.placement import TRAITS, Placement

# AcquisitionTime differs from slice to slice within one acquisition, so it does not tell stacks apart.
DIVIDING = tuple(trait for trait in TRAITS if trait != "AcquisitionTime")
# A trait with more values than this numbers slices rather than stacks.
MOST_STACKS = 20
# A declared stack that is refused with one of these codes is whole, but something else, and may stand beside the stack
# that is measured. Any other refusal is a sign of damage, and then the division itself is not believed.
OTHER_KINDS = frozenset({"not_axial", "gantry_tilt", "too_few_slices"})


@dataclass(frozen=True, eq=False)
class DeclaredStack:
    """The slices of a series that declare the same acquisition, reconstruction or phase.

    Attributes
    ----------
    members
        Indices into the placements.
    stack
        Where they lie; None where they are not a stack that can be measured.
    declares
        The traits by which they differ from the other slices of the series, as text for people.
    """

    members: tuple[int, ...]
    stack: gate.Stack | None
    declares: str = ""


def find(placements: Sequence[Placement]) -> tuple[DeclaredStack, ...]:
    """Return the declared stacks of a series, at least one of them measurable; a single one if the series is one stack.

    A series is divided only if its slices do not make one stack, only by the attributes in :data:`DIVIDING`, and only
    if every declared stack is whole. Geometry alone never divides, for a damaged slice would become a stack of its own.

    Raises
    ------
    InputRejected
        No division is found; the code says why all slices together are no stack (see
        :func:`worker.reading.geometry.gate.stack`).
    """
    try:
        return (DeclaredStack(tuple(range(len(placements))), gate.stack(placements)),)
    except InputRejected:
        for traits in _divisions(placements):
            declared = _divided(placements, traits)
            if declared is not None:
                return declared
        raise


def _divisions(placements: Sequence[Placement]) -> Iterator[tuple[str, ...]]:
    """Yield sets of traits that may divide the slices, the smallest sets first."""
    varying = [t for t in DIVIDING if 1 < len({_value(p, t) for p in placements}) <= MOST_STACKS]
    for count in range(1, len(varying) + 1):
        yield from combinations(varying, count)


def _divided(placements: Sequence[Placement], traits: Iterable[str]) -> tuple[DeclaredStack, ...] | None:
    """Return the declared stacks by some traits; None where one of them is damaged, or none can be measured."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for index, placement in enumerate(placements):
        groups.setdefault(tuple(_value(placement, trait) for trait in traits), []).append(index)
    declared: list[DeclaredStack] = []
    for values, members in groups.items():
        inside = [placements[i] for i in members]
        declares = ", ".join(f"{trait} {value or 'absent'}" for trait, value in zip(traits, values, strict=True))
        try:
            declared.append(DeclaredStack(tuple(members), gate.stack(inside), declares))
        except InputRejected as refused:
            if refused.code not in OTHER_KINDS and not _is_at_few_places(inside):
                return None
            declared.append(DeclaredStack(tuple(members), None, declares))
    return None if _is_implausible(placements, declared) else tuple(declared)


def _is_implausible(placements: Sequence[Placement], declared: Sequence[DeclaredStack]) -> bool:
    """Whether no declared stack can be measured, or a rest goes on where a stack ends, and so is a piece of it."""
    stacks = [[placements[i] for i in one.members] for one in declared if one.stack is not None]
    rests = [placements[i] for one in declared if one.stack is None for i in one.members]
    return not stacks or any(_goes_on(rest, stack) for rest in rests for stack in stacks)


def _goes_on(one: Placement, stack: Sequence[Placement]) -> bool:
    if not gate.are_alike(one, stack[0]):
        return False
    normal = stack[0].normal
    heights = [float(normal @ placement.position_mm) for placement in stack]
    height = float(normal @ one.position_mm)
    return not min(heights) - POSITION_TOLERANCE_MM <= height <= max(heights) + POSITION_TOLERANCE_MM


def _is_at_few_places(placements: Sequence[Placement]) -> bool:
    """Whether the slices show a few places again and again, as those do that wait for the contrast agent."""
    return len({tuple(round(v, 1) for v in p.position_mm) for p in placements}) < FEWEST_SLICES


def _value(placement: Placement, trait: str) -> str:
    return placement.traits[TRAITS.index(trait)]
