"""The five levels at which readers score extent in systemic sclerosis, found approximately.

Goh et al. (10.1164/rccm.200706-877OC), after Wells: origin of the great vessels, main carina, pulmonary venous
confluence, half-way between the third and the fifth, immediately above the right hemidiaphragm. The carina comes from
the airways. The dome of the right hemidiaphragm lies where the right lung is widest below it. The other two are
estimated from those and the apex: their mean is a secondary number, marked approximate.
"""

from collections.abc import Iterator

import numpy as np

from worker.analysis.records import RIGHT_LUNG, WHOLE, Measurement, Quantity, Region, Side, Unit
from worker.analysis.tally import EVERYTHING, REGIONS, Tally

NAMES = ("great_vessels", "carina", "venous_confluence", "half_way", "above_diaphragm")
# Of the way from carina to apex, and of that from carina to the dome of the diaphragm.
GREAT_VESSELS_SHARE, CONFLUENCE_SHARE = 0.5, 0.4


def find(tally: Tally, carina: int | None) -> tuple[int, ...]:
    """Return the slices of the five levels, in the order of :data:`NAMES`; empty where the carina is not known."""
    right = tally.voxels[:, RIGHT_LUNG].sum(axis=1)
    held = np.flatnonzero(right)
    if carina is None or len(held) == 0 or not held[0] < carina < held[-1]:
        return ()
    dome = int(np.argmax(right[:carina]))
    confluence = carina - CONFLUENCE_SHARE * (carina - dome)
    vessels = carina + GREAT_VESSELS_SHARE * (int(held[-1]) - carina)
    return tuple(round(level) for level in (vessels, carina, confluence, (confluence + dome) / 2, dome))


def measure(tally: Tally, carina: int | None) -> Iterator[Measurement]:
    """Yield the extent of disease in the slice of each level, and their mean; nothing where one of them has no lung."""
    extents = [_extent(tally, level) for level in find(tally, carina)]
    known = [extent for extent in extents if extent is not None]
    if len(known) < len(NAMES):
        return
    for name, extent in zip(NAMES, known, strict=True):
        yield Measurement(Region.TOTAL, Side.BOTH, name, Quantity.LEVEL_EXTENT, extent, Unit.PERCENT)
    mean = float(np.mean(known))
    yield Measurement(Region.TOTAL, Side.BOTH, WHOLE, Quantity.FIVE_LEVEL_EXTENT, mean, Unit.PERCENT)


def _extent(tally: Tally, level: int) -> float | None:
    here = slice(level, level + 1)
    lung = tally.count(Side.BOTH, EVERYTHING, here)
    return 100 * tally.count(Side.BOTH, REGIONS[Region.TOTAL], here) / lung if lung else None
