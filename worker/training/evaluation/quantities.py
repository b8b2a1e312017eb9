"""Every quantity of the Assessment beside the truth of phantoms: by the arithmetic alone, and as it is found."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.analysis import goh, lungs, patterns, quantify, zones
from worker.analysis.patterns import model as pattern_model
from worker.analysis.patterns.model import PatternModel
from worker.analysis.records import WHOLE, Assessment, LungMask, Quantity, Region, Side, Zone
from worker.phantom.chest_ct import Phantom, render
from worker.training.data.cases import CasePlan
from worker.training.evaluation import truth
from worker.training.evaluation.truth import Key

# Beyond every phantom that is scored one by one.
SEED = 6_000_000
# A mean over few voxels says nothing: densities of a pattern are compared from this extent on, in percent.
ENOUGH_PCT = 1.0
BOUNDS = (Quantity.EXTENT_LOWER, Quantity.EXTENT_UPPER)


@dataclass(frozen=True)
class Tolerance:
    """How far a number may lie from the truth: of whole lungs, and of a zone."""

    whole: float
    zone: float
    unit: str


LUNG: dict[str, Tolerance] = {
    Quantity.VOLUME: Tolerance(4, 6, "% of it"),
    Quantity.MEAN_ATTENUATION: Tolerance(20, 20, "HU"),
    Quantity.ATTENUATION_SD: Tolerance(25, 25, "HU"),
    Quantity.HIGH_ATTENUATION: Tolerance(2, 2, "points"),
    Quantity.SKEWNESS: Tolerance(0.2, 0.2, ""),
    Quantity.KURTOSIS: Tolerance(1, 1, ""),
}
DISEASE: dict[str, Tolerance] = {
    Quantity.VOLUME: Tolerance(4, 6, "% of the lung"),
    Quantity.EXTENT: Tolerance(4, 6, "points"),
    Quantity.FIVE_LEVEL_EXTENT: Tolerance(4, 4, "points"),
    Quantity.LEVEL_EXTENT: Tolerance(10, 10, "points"),
    Quantity.MEAN_ATTENUATION: Tolerance(50, 50, "HU"),
    Quantity.ATTENUATION_SD: Tolerance(50, 50, "HU"),
}
# One pattern is told from another less surely than disease from lung.
PATTERN: dict[str, Tolerance] = {
    **DISEASE,
    Quantity.VOLUME: Tolerance(6, 12, "% of the lung"),
    Quantity.EXTENT: Tolerance(6, 12, "points"),
    Quantity.MEAN_ATTENUATION: Tolerance(75, 75, "HU"),
    Quantity.ATTENUATION_SD: Tolerance(75, 75, "HU"),
}


@dataclass(frozen=True)
class Compared:
    """One number of one phantom: how far it lies from the truth, in the unit of its tolerance.

    ``counted`` is how far it lies where the true labels are measured, ``found`` where lungs and patterns are found;
    None where nothing was found.
    """

    key: Key
    tolerance: float
    unit: str
    counted: float
    found: float | None

    @property
    def holds(self) -> bool:
        """Whether what was found lies within the tolerance."""
        return self.found is not None and self.found <= self.tolerance


@dataclass(frozen=True)
class Verdicts:
    """What is no number: whether it is right as measured in the true labels, and as found."""

    goh: tuple[bool, bool]
    worst_zone: tuple[bool, bool]
    bounds: Mapping[Region, bool]


@dataclass(frozen=True)
class Judged:
    """One phantom, number by number."""

    numbers: tuple[Compared, ...]
    verdicts: Verdicts


def judge(phantom: Phantom, model: PatternModel) -> Judged:
    """Measure a phantom in its true labels, and in those that are found, and compare both with the truth.

    Raises ValueError where what is measured in the true labels has other names than the truth.
    """
    true = truth.of(phantom)
    counted = quantify.assess(
        phantom.volume, LungMask(phantom.lungs.labels, carina=truth.carina(phantom)), phantom.patterns
    )
    if _by_key(counted).keys() != true.keys():
        raise ValueError(f"not measured and true alike: {sorted(_by_key(counted).keys() ^ true.keys())}")
    outline = lungs.segment(phantom.volume)
    found = quantify.assess(phantom.volume, outline, patterns.segment(phantom.volume, outline, model))
    return Judged(tuple(_numbers(true, _by_key(counted), _by_key(found))), _verdicts(true, counted, found))


def _by_key(assessment: Assessment) -> dict[Key, float]:
    return {
        (m.region, m.side, m.zone, m.quantity): m.value for m in assessment.measurements if m.quantity not in BOUNDS
    }


def _numbers(true: Mapping[Key, float], counted: Mapping[Key, float], found: Mapping[Key, float]) -> Iterator[Compared]:
    for key, value in true.items():
        region, side, zone, quantity = key
        if (
            region != Region.LUNG
            and quantity in truth.MOMENTS
            and true[region, side, WHOLE, Quantity.EXTENT] < ENOUGH_PCT
        ):
            continue
        tolerance = {Region.LUNG: LUNG, Region.TOTAL: DISEASE}.get(Region(region), PATTERN)[quantity]
        scale = 100 / true[Region.LUNG, side, zone, Quantity.VOLUME] if quantity == Quantity.VOLUME else 1.0
        allowed = tolerance.zone if zone in set(Zone) else tolerance.whole
        counted_apart = abs(counted[key] - value) * scale
        found_apart = abs(found[key] - value) * scale if key in found else None
        yield Compared(key, allowed, tolerance.unit, counted_apart, found_apart)


def _verdicts(true: Mapping[Key, float], counted: Assessment, found: Assessment) -> Verdicts:
    extent = true[Region.TOTAL, Side.BOTH, WHOLE, Quantity.EXTENT]
    of_zones = {
        (side, zone): value
        for (region, side, zone, quantity), value in true.items()
        if (region, quantity) == (Region.TOTAL, Quantity.EXTENT) and side != Side.BOTH and zone != WHOLE
    }
    worst = max(of_zones.values())

    def is_worst(assessment: Assessment) -> bool:
        named = zones.worst(assessment)
        return worst == 0 if named is None else worst > 0 and of_zones[named.side, named.zone] == worst

    def same_category(assessment: Assessment) -> bool:
        return goh.category(assessment.value(Region.TOTAL, Quantity.EXTENT)) == goh.category(extent)

    held = {}
    for region in truth.PATTERNS:
        low, high = (_of(found, region, bound) for bound in BOUNDS)
        if low is not None and high is not None:
            held[region] = low <= true[region, Side.BOTH, WHOLE, Quantity.EXTENT] <= high
    return Verdicts((same_category(counted), same_category(found)), (is_worst(counted), is_worst(found)), held)


def _of(assessment: Assessment, region: Region, quantity: Quantity) -> float | None:
    try:
        return assessment.value(region, quantity)
    except KeyError:
        return None


def run(
    weights: Path, device: str, seeds: Sequence[int], case: CasePlan, tell: Callable[[str, int, int], None]
) -> list[Judged]:
    """Judge one phantom for each seed; kernel and noise come from the bands that training leaves out."""
    model, rows = pattern_model.load(weights, device), []
    for seed in seeds:
        rows.append(judge(render(case.spec(seed, held_out=True)), model))
        tell("quantities", len(rows), len(seeds))
    return rows
