"""Volumes, extents and densities: the expected numbers come from boxes counted by hand."""

from dataclasses import replace

import numpy as np
import pytest

from worker.analysis import quantify
from worker.analysis.records import (
    GROUND_GLASS,
    LEFT_LUNG,
    NO_PATTERN,
    RETICULATION,
    RIGHT_LUNG,
    Assessment,
    Bounds,
    LungMask,
    Measurement,
    PatternMap,
    Region,
)
from worker.errors import ImplausibleResult
from worker.reading.quality import QualityFlag
from worker.reading.volume import CTVolume

SHAPE = (10, 20, 30)
SPACING_MM = (5.0, 2.0, 1.0)
VOXEL_ML = 0.01


def volume_of(hu: np.ndarray) -> CTVolume:
    affine = np.diag([0.0, 0.0, 0.0, 1.0])
    affine[2, 0], affine[1, 1], affine[0, 2] = SPACING_MM
    return CTVolume(hu.astype(np.int16), affine, tuple(f"2.25.{i + 1}" for i in range(len(hu))), "2.25.9")


@pytest.fixture
def chest() -> tuple[CTVolume, LungMask, PatternMap]:
    """Right lung of 1000 voxels, left of 500; 100 ground glass and 50 reticulation right, 50 ground glass left."""
    lungs, patterns = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    lungs[:, :10, :10], lungs[:, :10, 20:25] = RIGHT_LUNG, LEFT_LUNG
    patterns[0, :10, :10] = GROUND_GLASS
    patterns[1, :5, :10] = RETICULATION
    patterns[9, :10, 20:25] = GROUND_GLASS
    hu = np.full(SHAPE, -850)
    hu[patterns == GROUND_GLASS], hu[patterns == RETICULATION] = -600, -300
    return volume_of(hu), LungMask(lungs, (QualityFlag("thick_slices", "thick", 5.0),)), PatternMap(patterns)


def test_volumes_are_voxels_times_their_size(chest: tuple[CTVolume, LungMask, PatternMap]) -> None:
    found = quantify.assess(*chest)
    assert found.value("lung", "volume", "right") == pytest.approx(1000 * VOXEL_ML)
    assert found.value("lung", "volume", "left") == pytest.approx(500 * VOXEL_ML)
    assert found.value("lung", "volume") == pytest.approx(1500 * VOXEL_ML)
    assert found.value("ggo", "volume") == pytest.approx(150 * VOXEL_ML)
    assert found.value("reticulation", "volume", "left") == 0
    assert found.value("total", "volume") == pytest.approx(200 * VOXEL_ML)


def test_a_gapped_slice_stands_for_the_distance_to_the_next(
    chest: tuple[CTVolume, LungMask, PatternMap],
) -> None:
    volume, lungs, patterns = chest
    thin = replace(volume, slice_thickness_mm=1.0)
    assert thin.is_gapped
    assert quantify.assess(thin, lungs, patterns).value("lung", "volume") == pytest.approx(1500 * VOXEL_ML)
    further = volume.affine.copy()
    further[2, 0] *= 2
    apart = quantify.assess(replace(thin, affine=further), lungs, patterns)
    assert apart.value("lung", "volume") == pytest.approx(2 * 1500 * VOXEL_ML)


def test_extent_is_the_share_of_that_side(chest: tuple[CTVolume, LungMask, PatternMap]) -> None:
    found = quantify.assess(*chest)
    assert found.value("total", "extent", "right") == pytest.approx(15.0)
    assert found.value("ggo", "extent", "right") == pytest.approx(10.0)
    assert found.value("reticulation", "extent", "right") == pytest.approx(5.0)
    assert found.value("total", "extent", "left") == pytest.approx(10.0)
    assert found.value("total", "extent") == pytest.approx(100 * 200 / 1500)


def test_total_is_the_sum_of_both_patterns_on_every_side(chest: tuple[CTVolume, LungMask, PatternMap]) -> None:
    found = quantify.assess(*chest)
    for side in ("right", "left", "both"):
        parts = found.value("ggo", "extent", side) + found.value("reticulation", "extent", side)
        assert found.value("total", "extent", side) == pytest.approx(parts)


@pytest.mark.parametrize("thickness_mm", [5.0, 1.0], ids=["touching slices", "gapped slices"])
def test_extent_is_the_ratio_of_areas_of_the_source_paper(
    chest: tuple[CTVolume, LungMask, PatternMap], thickness_mm: float
) -> None:
    volume, lungs, patterns = chest
    found = quantify.assess(replace(volume, slice_thickness_mm=thickness_mm), lungs, patterns)
    pixel_mm2 = SPACING_MM[1] * SPACING_MM[2]
    for side, labels in (("both", (LEFT_LUNG, RIGHT_LUNG)), ("right", (RIGHT_LUNG,))):
        pairs = [(np.isin(lung, labels), disease) for lung, disease in zip(lungs.labels, patterns.labels, strict=True)]
        lesion_mm2 = sum(pixel_mm2 * (inside & (disease > 0)).sum() for inside, disease in pairs)
        lung_mm2 = sum(pixel_mm2 * inside.sum() for inside, _ in pairs)
        assert found.value("total", "extent", side) == pytest.approx(100 * lesion_mm2 / lung_mm2)


def test_density_is_mean_and_population_deviation_of_hu(chest: tuple[CTVolume, LungMask, PatternMap]) -> None:
    found = quantify.assess(*chest)
    mean = (800 * 0 + 450 * -850 + 850 * -850 + 150 * -600 + 50 * -300) / 1500
    assert found.value("lung", "mean_attenuation") == pytest.approx(mean)
    variance = (1300 * (-850 - mean) ** 2 + 150 * (-600 - mean) ** 2 + 50 * (-300 - mean) ** 2) / 1500
    assert found.value("lung", "attenuation_sd") == pytest.approx(np.sqrt(variance))
    assert found.value("ggo", "mean_attenuation") == pytest.approx(-600)
    assert found.value("reticulation", "attenuation_sd") == pytest.approx(0, abs=1e-6)


def test_a_lung_without_disease_measures_zero_and_no_density(
    chest: tuple[CTVolume, LungMask, PatternMap],
) -> None:
    volume, lungs, patterns = chest
    found = quantify.assess(volume, lungs, PatternMap(np.zeros_like(patterns.labels)))
    assert found.value("total", "extent") == 0
    assert found.value("ggo", "volume") == 0
    with pytest.raises(KeyError):
        found.value("ggo", "mean_attenuation")


def test_an_absent_lung_has_no_numbers_and_spares_the_other(
    chest: tuple[CTVolume, LungMask, PatternMap],
) -> None:
    volume, lungs, patterns = chest
    alone = np.where(lungs.labels == LEFT_LUNG, 0, lungs.labels).astype(np.uint8)
    found = quantify.assess(volume, replace(lungs, labels=alone), patterns)
    assert not [m for m in found.measurements if m.side == "left"]
    assert found.value("total", "extent", "right") == pytest.approx(15.0)
    assert found.value("total", "extent") == pytest.approx(15.0)
    assert all(np.isfinite(m.value) for m in found.measurements)


def test_disease_outside_the_lungs_is_not_counted(chest: tuple[CTVolume, LungMask, PatternMap]) -> None:
    volume, lungs, patterns = chest
    spilled = np.where(lungs.labels == 0, RETICULATION, patterns.labels).astype(np.uint8)
    found = quantify.assess(volume, lungs, PatternMap(spilled))
    assert found.measurements == quantify.assess(*chest).measurements


def test_all_of_the_lung_diseased_is_a_hundred_percent(chest: tuple[CTVolume, LungMask, PatternMap]) -> None:
    volume, lungs, patterns = chest
    found = quantify.assess(volume, lungs, PatternMap(np.full_like(patterns.labels, GROUND_GLASS)))
    assert found.value("total", "extent") == 100
    assert found.value("total", "extent", "left") == 100


def test_each_number_has_its_unit_and_is_given_once(chest: tuple[CTVolume, LungMask, PatternMap]) -> None:
    found = quantify.assess(*chest).measurements
    units = {"volume": "ml", "extent": "%", "high_attenuation": "%", "skewness": "1", "kurtosis": "1"}
    assert all(m.unit == units.get(m.quantity, "[hnsf'U]") for m in found)
    assert set(units) < {m.quantity for m in found}
    assert len({(m.region, m.side, m.zone, m.quantity) for m in found}) == len(found)


def test_lung_mask_flags_travel_with_the_numbers(chest: tuple[CTVolume, LungMask, PatternMap]) -> None:
    assert [flag.code for flag in quantify.assess(*chest).flags] == ["thick_slices"]


@pytest.mark.parametrize(("hu", "codes"), [(-770, []), (-760, ["shallow_breath"])])
def test_dense_lung_without_disease_was_not_full_of_air(
    chest: tuple[CTVolume, LungMask, PatternMap], hu: int, codes: list[str]
) -> None:
    volume, lungs, patterns = chest
    # Disease alone, however dense, says nothing of the breath.
    volume = volume_of(np.where(patterns.labels > 0, 0, hu))
    flags = quantify.assess(volume, replace(lungs, flags=()), patterns).flags
    assert [(flag.code, flag.value) for flag in flags] == [(code, hu) for code in codes]


def test_after_a_shallow_breath_there_may_be_less_disease(chest: tuple[CTVolume, LungMask, PatternMap]) -> None:
    _, lungs, patterns = chest
    given = tuple(
        Bounds(region, lower, 0.5)
        for region, lower in ((Region.TOTAL, 0.2), (Region.GROUND_GLASS, 0.03), (Region.RETICULATION, 0.1))
    )
    found = {}
    for hu in (-850, -700):
        denser = volume_of(np.where(patterns.labels > 0, 0, hu))
        assessed = quantify.assess(denser, lungs, PatternMap(patterns.labels, (), given))
        found[hu] = [assessed.value(one.region, "extent_lower") for one in given]
        assert [assessed.value(one.region, "extent_upper") for one in given] == [50, 50, 50]
    assert found[-850] == pytest.approx([20, 3, 10])
    assert found[-700] == pytest.approx([13, 0, 10])


def test_lungs_diseased_all_over_say_nothing_of_the_breath(chest: tuple[CTVolume, LungMask, PatternMap]) -> None:
    volume, lungs, _ = chest
    everywhere = PatternMap(np.where(lungs.labels > 0, GROUND_GLASS, NO_PATTERN).astype(np.uint8))
    assert quantify.assess(volume, replace(lungs, flags=()), everywhere).flags == ()


def assessment_of(lung_ml: float, extent_pct: float) -> Assessment:
    return Assessment(
        (
            Measurement("lung", "both", "whole", "volume", lung_ml, "ml"),
            Measurement("total", "both", "whole", "extent", extent_pct, "%"),
        )
    )


@pytest.mark.parametrize("lung_ml", [499.0, 10_001.0, 15.0])
def test_lungs_of_an_impossible_size_are_implausible(lung_ml: float) -> None:
    with pytest.raises(ImplausibleResult) as implausible:
        quantify.require_plausible(assessment_of(lung_ml, 10))
    assert implausible.value.code == "implausible_lung_volume"
    assert implausible.value.detail["lung_volume_ml"] == lung_ml


def test_a_lung_diseased_all_over_is_implausible() -> None:
    with pytest.raises(ImplausibleResult) as implausible:
        quantify.require_plausible(assessment_of(4000, 95.5))
    assert implausible.value.code == "implausible_extent"
    assert implausible.value.detail["total_extent_pct"] == 95.5


@pytest.mark.parametrize(("lung_ml", "extent_pct"), [(500, 0), (10_000, 95), (3700, 40)])
def test_the_bounds_themselves_are_plausible(lung_ml: float, extent_pct: float) -> None:
    quantify.require_plausible(assessment_of(lung_ml, extent_pct))


@pytest.mark.parametrize(
    ("code", "value", "is_stopped"), [("outline_disagreement", 40.0, True), ("gapped", 90.0, False)]
)
def test_a_lung_mask_in_much_doubt_waits_for_a_person(code: str, value: float, is_stopped: bool) -> None:
    doubted = replace(assessment_of(4000, 10), flags=(QualityFlag(code, "", value),))
    if is_stopped:
        with pytest.raises(ImplausibleResult) as implausible:
            quantify.require_plausible(doubted)
        assert implausible.value.code == "doubtful_lung_mask"
    else:
        quantify.require_plausible(doubted)
