"""Chooses the stack of a series that is measured: the one that shows a chest, if only one does."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from worker.errors import InputRejected
from worker.reading import chest
from worker.reading.geometry.gate import Stack
from worker.reading.geometry.placement import Placement
from worker.reading.geometry.stacks import DeclaredStack
from worker.reading.pixels import hounsfield
from worker.reading.slices import SourceSlice


@dataclass(frozen=True, eq=False)
class Kept:
    """The stack that is measured, and the declared stacks of the series that are not.

    ``order`` are indices into the slices of the series, from feet to head.
    """

    order: tuple[int, ...]
    stack: Stack
    others: tuple[DeclaredStack, ...]


def choose(slices: Sequence[SourceSlice], placements: Sequence[Placement], declared: Sequence[DeclaredStack]) -> Kept:
    """Return the one stack that can be measured.

    Where there are several, some slices of each are read, and stacks that show no chest are left out.

    Raises
    ------
    InputRejected
        ``several_stacks``: two or more chests, named in the detail. ``not_chest``: several stacks without one.
    """
    whole = [(one, one.stack) for one in declared if one.stack is not None]
    if len(whole) > 1:
        areas = {one: _lung_areas_cm2(slices, placements, one, stack) for one, stack in whole}
        whole = [(one, stack) for one, stack in whole if chest.shows_lung(areas[one])]
        if not whole:
            raise chest.no_chest([area for of_one in areas.values() for area in of_one])
    if len(whole) > 1:
        raise _several([one for one, _ in whole], placements)
    kept, stack = whole[0]
    return Kept(_order(kept, stack), stack, tuple(one for one in declared if one is not kept))


def _order(one: DeclaredStack, stack: Stack) -> tuple[int, ...]:
    return tuple(one.members[i] for i in stack.order)


def _lung_areas_cm2(
    slices: Sequence[SourceSlice], placements: Sequence[Placement], one: DeclaredStack, stack: Stack
) -> list[float]:
    order = _order(one, stack)
    step_mm = float((stack.affine[:3, 0] ** 2).sum() ** 0.5)
    looked_at = [slices[order[i]] for i in chest.sampled(len(order), step_mm)]
    try:
        return chest.lung_areas_cm2(hounsfield.read(looked_at), placements[order[0]].spacing_mm)
    except InputRejected as refused:
        if refused.code != "not_hounsfield":
            raise
        # Iodine maps and the like are not in Hounsfield units: such a stack is never the chest CT.
        return []


def _several(chests: Sequence[DeclaredStack], placements: Sequence[Placement]) -> InputRejected:
    return InputRejected(
        f"The series holds {len(chests)} chests, told apart by {'; '.join(one.declares for one in chests)}; "
        "send the one to be measured as a series of its own.",
        code="several_stacks",
        detail={"stacks": list(_described(chests, placements))},
    )


def _described(chests: Sequence[DeclaredStack], placements: Sequence[Placement]) -> Iterator[dict[str, object]]:
    for one in chests:
        heights = [placements[i].position_mm[2] for i in one.members]
        yield {
            "declares": one.declares,
            "slices": len(one.members),
            "from_mm": round(min(heights), 1),
            "to_mm": round(max(heights), 1),
        }
