"""Zones, densitometry, levels and staging: the expected numbers come from boxes counted by hand and from scipy."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from worker.analysis import densitometry, goh, levels, quantify, zones
from worker.analysis.goh import Goh
from worker.analysis.records import (
    CONSOLIDATION,
    GROUND_GLASS,
    LEFT_LUNG,
    RIGHT_LUNG,
    Assessment,
    LungMask,
    PatternMap,
    Zone,
)
from worker.analysis.tally import Tally
from worker.reading.volume import HU_FLOOR, CTVolume

SHAPE = (14, 12, 30)
VOXEL_ML = 0.01


def volume_of(hu: np.ndarray) -> CTVolume:
    affine = np.diag([0.0, 0.0, 0.0, 1.0])
    affine[2, 0], affine[1, 1], affine[0, 2] = 5.0, 2.0, 1.0
    return CTVolume(hu.astype(np.int16), affine, tuple(f"2.25.{i + 1}" for i in range(len(hu))), "2.25.9")


@pytest.fixture
def chest() -> tuple[CTVolume, LungMask, PatternMap]:
    """Right lung of 9 slices of 100 voxels, left of 12 slices of 50; disease in known slices."""
    lungs, patterns = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    lungs[3:12, :10, :10], lungs[1:13, :10, 20:25] = RIGHT_LUNG, LEFT_LUNG
    patterns[3, :10, :10] = GROUND_GLASS
    patterns[4, :5, :10] = CONSOLIDATION
    patterns[8, :5, :10] = GROUND_GLASS
    patterns[12, :5, 20:25] = GROUND_GLASS
    return volume_of(np.full(SHAPE, -850)), LungMask(lungs), PatternMap(patterns)


def test_each_lung_is_cut_into_thirds_of_its_own_height(chest: tuple[CTVolume, LungMask, PatternMap]) -> None:
    tally = Tally(*chest)
    assert zones.cut(tally, "right") == {
        Zone.LOWER: slice(3, 6),
        Zone.MIDDLE: slice(6, 9),
        Zone.UPPER: slice(9, 12),
    }
    assert zones.cut(tally, "left")[Zone.UPPER] == slice(9, 13)


def test_a_zone_has_the_extent_of_its_own_lung(chest: tuple[CTVolume, LungMask, PatternMap]) -> None:
    found = quantify.assess(*chest)
    assert found.value("lung", "volume", "right", "lower") == pytest.approx(300 * VOXEL_ML)
    assert found.value("total", "extent", "right", "lower") == pytest.approx(100 * 150 / 300)
    assert found.value("consolidation", "extent", "right", "lower") == pytest.approx(100 * 50 / 300)
    assert found.value("total", "extent", "right", "middle") == pytest.approx(100 * 50 / 300)
    assert found.value("total", "extent", "right", "upper") == 0
    assert found.value("ggo", "extent", "left", "upper") == pytest.approx(100 * 25 / 200)
    assert found.value("total", "extent", "both", "lower") == pytest.approx(100 * 150 / (300 + 200))


def test_zones_together_are_the_lung(chest: tuple[CTVolume, LungMask, PatternMap]) -> None:
    found = quantify.assess(*chest)
    for side in ("right", "left", "both"):
        for region in ("lung", "total", "ggo", "consolidation"):
            parts = sum(found.value(region, "volume", side, zone) for zone in Zone)
            assert parts == pytest.approx(found.value(region, "volume", side))


def test_the_worst_zone_is_named_and_nothing_where_all_is_well(
    chest: tuple[CTVolume, LungMask, PatternMap],
) -> None:
    worst = zones.worst(quantify.assess(*chest))
    assert (worst.side, worst.zone, worst.value) == ("right", "lower", 50.0)
    healthy = replace(chest[2], labels=np.zeros(SHAPE, np.uint8))
    assert zones.worst(quantify.assess(chest[0], chest[1], healthy)) is None


def test_an_absent_lung_has_no_zones(chest: tuple[CTVolume, LungMask, PatternMap]) -> None:
    volume, lungs, patterns = chest
    alone = replace(lungs, labels=np.where(lungs.labels == LEFT_LUNG, 0, lungs.labels).astype(np.uint8))
    found = quantify.assess(volume, alone, patterns)
    assert not [m for m in found.measurements if m.side == "left"]
    assert found.value("total", "extent", "both", "lower") == found.value("total", "extent", "right", "lower")


def test_a_lung_of_one_slice_is_in_one_zone_and_nothing_fails(
    chest: tuple[CTVolume, LungMask, PatternMap],
) -> None:
    volume, lungs, patterns = chest
    labels = np.zeros_like(lungs.labels)
    labels[5] = lungs.labels[5]
    found = quantify.assess(volume, replace(lungs, labels=labels), patterns)
    assert {m.zone for m in found.measurements if m.quantity == "extent"} == {"whole", "middle"}


def test_the_shape_of_the_histogram_is_that_of_scipy(chest: tuple[CTVolume, LungMask, PatternMap]) -> None:
    rng = np.random.default_rng(1)
    hu = np.clip(rng.gamma(3.0, 60.0, SHAPE) - 1000, HU_FLOOR, 3071).astype(np.int16)
    found = quantify.assess(replace(chest[0], hu=hu), *chest[1:])
    inside = hu[chest[1].labels > 0].astype(float)
    assert found.value("lung", "skewness") == pytest.approx(stats.skew(inside))
    assert found.value("lung", "kurtosis") == pytest.approx(stats.kurtosis(inside))
    assert found.value("lung", "attenuation_sd") == pytest.approx(inside.std())
    right = hu[chest[1].labels == RIGHT_LUNG]
    assert found.value("lung", "high_attenuation", "right") == pytest.approx(
        100 * ((right >= -600) & (right <= -250)).mean()
    )


@pytest.mark.parametrize(("hu", "is_high"), [(-601, False), (-600, True), (-250, True), (-249, False), (3071, False)])
def test_high_attenuation_begins_and_ends_where_it_is_said_to(
    chest: tuple[CTVolume, LungMask, PatternMap], hu: int, is_high: bool
) -> None:
    found = quantify.assess(volume_of(np.full(SHAPE, hu)), *chest[1:])
    assert found.value("lung", "high_attenuation") == (100 if is_high else 0)
    with pytest.raises(KeyError):
        found.value("lung", "skewness")


def test_a_normal_histogram_has_no_excess() -> None:
    hu = np.random.default_rng(2).normal(-800, 40, 200_000).round().astype(int)
    skewness, kurtosis = densitometry.shape(np.bincount(hu - HU_FLOOR, minlength=len(densitometry.HU)))
    assert (skewness, kurtosis) == (pytest.approx(0, abs=0.03), pytest.approx(0, abs=0.05))


@pytest.mark.parametrize(
    ("extent", "fvc", "category"),
    [
        (0, None, Goh.limited),
        (9.99, 40, Goh.limited),
        (10, None, Goh.indeterminate),
        (30, None, Goh.indeterminate),
        (30.01, 110, Goh.extensive),
        (20, 69.9, Goh.extensive),
        (20, 70, Goh.limited),
    ],
)
def test_goh_decides_by_extent_and_between_by_fvc(extent: float, fvc: float | None, category: Goh) -> None:
    assert goh.category(extent, fvc) == category


def test_levels_lie_between_apex_and_dome_in_their_order() -> None:
    area = np.array([0, 2, 5, 9, 14, 20, 19, 18, 17, 16, 15, 14, 12, 9, 5, 2, 0])
    lungs = np.zeros((len(area), 1, 30), np.uint8)
    for plane, voxels in zip(lungs, area, strict=True):
        plane[0, :voxels] = RIGHT_LUNG
    patterns = np.zeros_like(lungs)
    patterns[5:9, 0, :10] = GROUND_GLASS
    tally = Tally(volume_of(np.full(lungs.shape, -850)), LungMask(lungs), PatternMap(patterns))
    assert levels.find(tally, 11) == (13, 11, 9, 7, 5)
    found = Assessment(tuple(levels.measure(tally, 11)))
    expected = {"great_vessels": 0, "carina": 0, "venous_confluence": 0, "half_way": 1000 / 18, "above_diaphragm": 50}
    for name, extent in expected.items():
        assert found.value("total", "level_extent", zone=name) == pytest.approx(extent)
    assert found.value("total", "five_level_extent") == pytest.approx(np.mean(list(expected.values())))
    assert levels.find(tally, None) == levels.find(tally, 16) == ()
