"""Upper, middle and lower zone of each lung: thirds of its height, not lobes."""

from collections.abc import Iterator

import numpy as np

from worker.analysis.records import Assessment, Measurement, Quantity, Region, Side, Unit, Zone
from worker.analysis.tally import EVERYTHING, REGIONS, SIDES, Tally

LUNGS = (Side.RIGHT, Side.LEFT)


def cut(tally: Tally, side: Side) -> dict[Zone, slice]:
    """Return the slices of each zone of one lung; empty where it is absent.

    The height of a lung goes from the lowest to the highest slice that holds any of it, its recess behind the diaphragm
    included. A slice belongs to the third in which its middle lies. Each lung is cut by its own height, for one
    diaphragm may stand higher.
    """
    held = np.flatnonzero(tally.voxels[:, SIDES[side]].any(axis=(1, 2)))
    if len(held) == 0:
        return {}
    bottom, top = int(held[0]), int(held[-1]) + 1
    edges = [bottom + int(np.floor((top - bottom) * third / 3 + 0.5)) for third in range(4)]
    return {zone: slice(*edges[n : n + 2]) for n, zone in enumerate((Zone.LOWER, Zone.MIDDLE, Zone.UPPER))}


def measure(tally: Tally) -> Iterator[Measurement]:
    """Yield volumes and extents of each zone of each lung, and of the zones of both together."""
    cuts = {side: cut(tally, side) for side in LUNGS}
    for side in SIDES:
        lungs = [one for one in LUNGS if one == side or side is Side.BOTH]
        for zone in Zone:
            yield from _measured(tally, side, zone, [(lung, cuts[lung][zone]) for lung in lungs if cuts[lung]])


def _measured(tally: Tally, side: Side, zone: Zone, parts: list[tuple[Side, slice]]) -> Iterator[Measurement]:
    lung = sum(tally.count(one, EVERYTHING, slices) for one, slices in parts)
    if lung == 0:
        return
    yield Measurement(Region.LUNG, side, zone, Quantity.VOLUME, lung * tally.voxel_ml, Unit.MILLILITRE)
    for region, labels in REGIONS.items():
        found = sum(tally.count(one, labels, slices) for one, slices in parts)
        yield Measurement(region, side, zone, Quantity.VOLUME, found * tally.voxel_ml, Unit.MILLILITRE)
        yield Measurement(region, side, zone, Quantity.EXTENT, 100 * found / lung, Unit.PERCENT)


def worst(assessment: Assessment) -> Measurement | None:
    """Return the zone of one lung with the largest extent of disease; None where there is no disease."""
    zones = [
        m
        for m in assessment.measurements
        if m.region == Region.TOTAL and m.quantity == Quantity.EXTENT and m.side in LUNGS and m.zone in set(Zone)
    ]
    found = max(zones, key=lambda m: m.value, default=None)
    return found if found is not None and found.value > 0 else None
