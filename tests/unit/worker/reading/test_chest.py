"""A chest is told from other parts of the body by its content; part of a chest is a chest."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from worker.errors import InputRejected
from worker.phantom.chest_ct import PhantomSpec, render
from worker.reading import chest
from worker.reading.volume import CTVolume

SIDE, PIXEL_MM = 128, 3.0
AIR, FAT, WATER, BONE, LUNG, STOOL, GAS, FOAM = -1000, -100, 40, 700, -850, -600, -990, -930
Section = NDArray[np.int16]


def ellipse(across_mm: float, down_mm: float, centre_mm: tuple[float, float] = (0.0, 0.0)) -> NDArray[np.bool_]:
    """Where an ellipse lies in a section; the centre is (down, across) from the middle."""
    down, across = (np.indices((SIDE, SIDE)) - SIDE / 2) * PIXEL_MM
    return ((across - centre_mm[1]) / across_mm) ** 2 + ((down - centre_mm[0]) / down_mm) ** 2 < 1


def section(*parts: tuple[NDArray[np.bool_], int]) -> Section:
    """Return air with parts painted in, the later over the earlier, blurred at edges and noisy."""
    plane = np.full((SIDE, SIDE), AIR, np.float64)
    for where, hu in parts:
        plane[where] = hu
    blurred = (plane + np.roll(plane, 1, 0) + np.roll(plane, 1, 1) + np.roll(plane, (1, 1), (0, 1))) / 4
    return (blurred + np.random.default_rng(3).normal(0, 20, plane.shape)).astype(np.int16)


TRUNK = ellipse(170, 115)
MATTRESS = ellipse(180, 25, (140.0, 0.0)) & ~ellipse(175, 118)
SECTIONS = {
    "legs": section(
        (ellipse(70, 75, (0, -90)), FAT), (ellipse(70, 75, (0, 90)), WATER), (ellipse(14, 14, (0, 90)), BONE)
    ),
    "head": section((ellipse(75, 95), BONE), (ellipse(68, 88), WATER), (ellipse(14, 12, (-60, 0)), GAS)),
    "abdomen": section((TRUNK, FAT), (ellipse(150, 95), WATER), (ellipse(40, 25, (-40, 30)), GAS), (MATTRESS, FOAM)),
    "abdomen with gas and stool": section(
        (TRUNK, WATER), (ellipse(25, 20, (-50, -90)), STOOL), (ellipse(60, 30, (-40, 40)), GAS)
    ),
    "distended bowel": section(
        (TRUNK, WATER), *((ellipse(22, 45, (0, across)), GAS) for across in (-130, -78, -26, 26, 78, 130))
    ),
    "tip of a lung": section((TRUNK, WATER), (ellipse(25, 18, (60, -90)), LUNG)),
    "air": section(),
}
CHESTS = {
    "mid-chest": section((TRUNK, WATER), (ellipse(55, 80, (0, -80)), LUNG), (ellipse(55, 80, (0, 80)), LUNG)),
    "one lung": section((TRUNK, WATER), (ellipse(55, 80, (0, -80)), LUNG)),
    "bases": section((TRUNK, WATER), (ellipse(40, 30, (50, -90)), LUNG), (ellipse(40, 30, (50, 90)), LUNG)),
    "apices": section((ellipse(150, 80), WATER), (ellipse(25, 25, (10, -45)), LUNG), (ellipse(25, 25, (10, 45)), LUNG)),
    "ground glass all over": section(
        (TRUNK, WATER), (ellipse(55, 80, (0, -80)), -620), (ellipse(55, 80, (0, 80)), -620)
    ),
    "a field that cuts both lungs": section(
        (np.ones((SIDE, SIDE), bool), LUNG), (ellipse(60, 200, (0, 0)), WATER), (ellipse(300, 40, (150, 0)), WATER)
    ),
}


def volume(plane: Section, count: int = 12) -> CTVolume:
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, :3] = [[0, 0, PIXEL_MM], [0, PIXEL_MM, 0], [5.0, 0, 0]]
    return CTVolume(np.repeat(plane[None], count, axis=0), affine, ("1",) * count, "1.2")


@pytest.mark.parametrize("name", SECTIONS)
def test_other_parts_of_the_body_are_refused(name: str) -> None:
    with pytest.raises(InputRejected) as caught:
        chest.require(volume(SECTIONS[name]))
    assert caught.value.code == "not_chest"
    assert caught.value.detail["largest_lung_area_cm2"] < chest.LEAST_AREA_CM2


@pytest.mark.parametrize("name", CHESTS)
def test_a_chest_or_a_part_of_one_is_not_refused(name: str) -> None:
    chest.require(volume(CHESTS[name]))


def test_two_slices_with_lung_make_a_chest_and_one_does_not() -> None:
    whole = volume(SECTIONS["abdomen"])
    hu = whole.hu.copy()
    hu[-1] = CHESTS["mid-chest"]
    with pytest.raises(InputRejected):
        chest.require(replace(whole, hu=hu))
    hu[-3:] = CHESTS["mid-chest"]
    chest.require(replace(whole, hu=hu))


@pytest.mark.parametrize("extent_pct", [0.0, 60.0])
def test_a_computed_chest_is_one_healthy_or_diseased(extent_pct: float) -> None:
    chest.require(render(PhantomSpec(6, (30, 96, 96), (9.5, 4.0, 4.0), extent_pct)).volume)


def test_ten_slices_are_sampled_or_as_many_as_the_height_needs() -> None:
    assert [len(chest.sampled(count, step)) for count, step in ((10, 10.0), (12, 0.5), (600, 0.5))] == [10, 12, 38]
