"""What the Assessment of a phantom should say: counted in what was drawn, by other means than those that measure."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from worker.analysis.records import LEFT_LUNG, RIGHT_LUNG, WHOLE, Quantity, Region, Side, Zone
from worker.phantom.anatomy import CHEST_HEIGHT_MM
from worker.phantom.chest_ct import Phantom

# Where the trachea of every phantom parts: above the middle of a chest of CHEST_HEIGHT_MM.
CARINA_MM = 28
SIDES = {Side.RIGHT: (RIGHT_LUNG,), Side.LEFT: (LEFT_LUNG,), Side.BOTH: (RIGHT_LUNG, LEFT_LUNG)}
PATTERNS = {Region.TOTAL: (1, 2, 3), Region.GROUND_GLASS: (1,), Region.RETICULATION: (2,), Region.CONSOLIDATION: (3,)}
# The lowest first.
THIRDS = (Zone.LOWER, Zone.MIDDLE, Zone.UPPER)
Key = tuple[str, str, str, str]
Mask = NDArray[np.bool_]
MOMENTS: dict[Quantity, Callable[[NDArray[np.float64]], float]] = {
    Quantity.MEAN_ATTENUATION: np.mean,
    Quantity.ATTENUATION_SD: np.std,
}
SHAPES: dict[Quantity, Callable[[NDArray[np.float64]], float]] = {
    Quantity.SKEWNESS: stats.skew,
    Quantity.KURTOSIS: stats.kurtosis,
    Quantity.HIGH_ATTENUATION: lambda hu: 100 * float(np.mean((hu >= -600) & (hu <= -250))),
}


def of(phantom: Phantom) -> dict[Key, float]:
    """Return every number by (region, side, zone, quantity); a lung that is absent has none."""
    return {key: float(value) for part in (_sizes, _densities, _levels) for key, value in part(phantom)}


def carina(phantom: Phantom) -> int:
    """Return the slice in which the trachea parts."""
    slices = len(phantom.volume.hu)
    return round(slices * CARINA_MM / CHEST_HEIGHT_MM + (slices - 1) / 2)


def thirds(lung: Mask) -> dict[Zone, Mask]:
    """Return the parts of one lung, by where the middle of a slice lies between its lowest and its highest."""
    held = np.flatnonzero(lung.any(axis=(1, 2)))
    if len(held) == 0:
        return dict.fromkeys(Zone, lung)
    height = (np.arange(len(lung)) + 0.5 - held[0]) / (held[-1] + 1 - held[0])
    return {zone: lung & (np.floor(3 * height) == number)[:, None, None] for number, zone in enumerate(THIRDS)}


def _places(phantom: Phantom) -> Iterator[tuple[Side, str, Mask]]:
    """Yield each lung and both, whole and in zones."""
    zones = {side: thirds(phantom.lungs.labels == label) for side, (label,) in list(SIDES.items())[:2]}
    for side, labels in SIDES.items():
        yield side, WHOLE, np.isin(phantom.lungs.labels, labels)
        for zone in Zone:
            parts = [own[zone] for lung, own in zones.items() if side in {lung, Side.BOTH}]
            yield side, zone, np.any(parts, axis=0)


def _sizes(phantom: Phantom) -> Iterator[tuple[Key, float]]:
    voxel_ml = float(np.prod(phantom.spec.spacing_mm)) / 1000
    found = {region: np.isin(phantom.patterns.labels, labels) for region, labels in PATTERNS.items()}
    for side, zone, lung in _places(phantom):
        voxels = np.count_nonzero(lung)
        if voxels == 0:
            continue
        yield (Region.LUNG, side, zone, Quantity.VOLUME), voxels * voxel_ml
        for region, pattern in found.items():
            ill = np.count_nonzero(pattern & lung)
            yield (region, side, zone, Quantity.VOLUME), ill * voxel_ml
            yield (region, side, zone, Quantity.EXTENT), 100 * ill / voxels


def _densities(phantom: Phantom) -> Iterator[tuple[Key, float]]:
    places = {(Region.LUNG, side): np.isin(phantom.lungs.labels, labels) for side, labels in SIDES.items()}
    both = places[Region.LUNG, Side.BOTH]
    places |= {(region, Side.BOTH): np.isin(phantom.patterns.labels, own) & both for region, own in PATTERNS.items()}
    for (region, side), where in places.items():
        hu = phantom.volume.hu[where].astype(np.float64)
        if len(hu) == 0:
            continue
        for quantity, told in (MOMENTS | (SHAPES if region is Region.LUNG else {})).items():
            yield (region, side, WHOLE, quantity), told(hu)


def _levels(phantom: Phantom) -> Iterator[tuple[Key, float]]:
    """Yield the extents at the five levels of Goh, by their definition, and their mean."""
    lung, ill = phantom.lungs.labels > 0, phantom.patterns.labels > 0
    right = [int(np.count_nonzero(plane == RIGHT_LUNG)) for plane in phantom.lungs.labels]
    part, apex = carina(phantom), max(index for index, voxels in enumerate(right) if voxels)
    dome = max(range(part), key=lambda index: right[index])
    confluence = part - 0.4 * (part - dome)
    levels = {
        "great_vessels": (part + apex) / 2,
        "carina": part,
        "venous_confluence": confluence,
        "half_way": (confluence + dome) / 2,
        "above_diaphragm": dome,
    }
    planes = {name: (lung[round(level)], ill[round(level)]) for name, level in levels.items()}
    extents = {name: 100 * np.count_nonzero(i & o) / np.count_nonzero(o) for name, (o, i) in planes.items()}
    for name, extent in extents.items():
        yield (Region.TOTAL, Side.BOTH, name, Quantity.LEVEL_EXTENT), extent
    yield (Region.TOTAL, Side.BOTH, WHOLE, Quantity.FIVE_LEVEL_EXTENT), sum(extents.values()) / len(extents)
