"""Which stack of a series is measured: the one that shows a chest, if it is one alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from worker.errors import InputRejected
from worker.reading import chest
from worker.reading.geometry.gate import Stack
from worker.reading.geometry.placement import Placement
from worker.reading.geometry.stacks import Part
from worker.reading.pixels import hounsfield
from worker.reading.slices import SourceSlice


@dataclass(frozen=True, eq=False)
class Kept:
    """The stack that is measured, and the parts of the series that are not.

    ``order`` are indices into the slices of the series, from feet to head.
    """

    order: tuple[int, ...]
    stack: Stack
    others: tuple[Part, ...]


def choose(slices: Sequence[SourceSlice], placements: Sequence[Placement], parts: Sequence[Part]) -> Kept:
    """Return the one stack that can be measured.

    Of several, those that show no chest are left out by a look at some of their slices.

    Raises
    ------
    InputRejected
        ``several_stacks``: two or more chests, named in the detail. ``not_chest``: several stacks without one.
    """
    whole = [(part, part.stack) for part in parts if part.stack is not None]
    if len(whole) > 1:
        areas = {part: _lung_areas_cm2(slices, placements, part, stack) for part, stack in whole}
        whole = [(part, stack) for part, stack in whole if chest.shows_lung(areas[part])]
        if not whole:
            raise chest.no_chest([area for of_part in areas.values() for area in of_part])
    if len(whole) > 1:
        raise _several([part for part, _ in whole], placements)
    kept, stack = whole[0]
    return Kept(_order(kept, stack), stack, tuple(part for part in parts if part is not kept))


def _order(part: Part, stack: Stack) -> tuple[int, ...]:
    return tuple(part.members[i] for i in stack.order)


def _lung_areas_cm2(
    slices: Sequence[SourceSlice], placements: Sequence[Placement], part: Part, stack: Stack
) -> list[float]:
    order = _order(part, stack)
    step_mm = float((stack.affine[:3, 0] ** 2).sum() ** 0.5)
    looked_at = [slices[order[i]] for i in chest.sampled(len(order), step_mm)]
    try:
        return chest.lung_areas_cm2(hounsfield.read(looked_at), placements[order[0]].spacing_mm)
    except InputRejected as refused:
        if refused.code != "not_hounsfield":
            raise
        # Iodine maps and the like: a stack beside the chest, never the chest.
        return []


def _several(chests: Sequence[Part], placements: Sequence[Placement]) -> InputRejected:
    return InputRejected(
        f"The series holds {len(chests)} chests, told apart by {'; '.join(part.declares for part in chests)}; "
        "send the one to be measured as a series of its own.",
        code="several_stacks",
        detail={"stacks": list(_described(chests, placements))},
    )


def _described(chests: Sequence[Part], placements: Sequence[Placement]) -> Iterator[dict[str, object]]:
    for part in chests:
        heights = [placements[i].position_mm[2] for i in part.members]
        yield {
            "declares": part.declares,
            "slices": len(part.members),
            "from_mm": round(min(heights), 1),
            "to_mm": round(max(heights), 1),
        }
