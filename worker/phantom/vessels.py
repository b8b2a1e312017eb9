"""Vessels and bronchi: trees that grow from the hilum into every part of a lung, and the brush that paints them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from worker.phantom.anatomy import Chest, Mask
from worker.phantom.fields import Field, Grid, enlarge

VESSEL_HU, WALL_HU, LUMEN_HU = 40.0, -60.0, -980.0
HILUM_MM = (5.0, 12.0, 36.0)
TERMINALS, TERMINAL_RADIUS_MM = 1800, (0.32, 0.44)
# Radius of a branch ~ (ends it supplies) ** 0.4: between Murray's 1/3 and the 3/7 of Huo and Kassab (2012).
SUPPLY_EXPONENT = 0.4
# Vessels fade a few millimetres before the pleura.
PLEURAL_GAP_MM, PLANNING_STEP_MM = 4.0, 3.0
# A bronchus runs beside every artery that is thicker than this.
ESCORTED_RADIUS_MM = 1.3
EDGE_MM = 0.8
Point = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Tube:
    """A straight piece from ``start`` to ``end``, each (z, y, x) in mm."""

    start: Point
    end: Point
    radius_mm: float


def paint(hu: Field, chest: Chest, grid: Grid, contrast_hu: float, rng: np.random.Generator) -> None:
    """Paint arteries with their bronchi, and veins, into both lungs in place."""
    for lung, side in ((chest.right_lung, -1.0), (chest.left_lung, 1.0)):
        brush = Brush(hu, lung, grid)
        hilum = np.array(HILUM_MM) * (1, 1, side)
        terminals = _terminals(lung, grid, rng)
        half = len(terminals) // 2
        arteries = list(grow(hilum + np.array([4, 0, 0]), terminals[:half], rng))
        veins = list(grow(hilum + np.array([-8, -6, 0]), terminals[half:], rng))
        bronchi = [_escort(artery) for artery in arteries if artery.radius_mm > ESCORTED_RADIUS_MM]
        for bronchus in bronchi:
            brush.paint(Tube(bronchus.start, bronchus.end, bronchus.radius_mm + _wall_mm(bronchus)), WALL_HU)
        for bronchus in bronchi:
            brush.paint(bronchus, LUMEN_HU)
        for vessel in (*arteries, *veins):
            brush.paint(vessel, max(VESSEL_HU, contrast_hu * 0.8))


def grow(root: Point, terminals: Point, rng: np.random.Generator) -> Iterator[Tube]:
    """Yield a tree from ``root`` that reaches every one of ``terminals`` (n, 3).

    A branch heads for the middle of what it supplies, then parts in two across the widest direction.
    """
    finest_mm = rng.uniform(*TERMINAL_RADIUS_MM)
    open_ends = [(root, terminals)]
    while open_ends:
        start, supplied = open_ends.pop()
        middle = supplied.mean(axis=0)
        radius_mm = finest_mm * len(supplied) ** SUPPLY_EXPONENT
        if len(supplied) == 1:
            yield Tube(start, middle, radius_mm)
            continue
        way = (middle - start) * rng.uniform(0.25, 0.5)
        end = start + way + rng.normal(0, 0.12 * np.linalg.norm(way), 3)
        yield Tube(start, end, radius_mm)
        open_ends += [(end, part) for part in _parted(supplied - middle, supplied, rng)]


def _parted(centred: Point, supplied: Point, rng: np.random.Generator) -> tuple[Point, Point]:
    """Split points across their widest direction, unevenly."""
    widest = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    order = np.argsort(centred @ widest)
    cut = int(np.clip(round(len(order) * rng.uniform(0.3, 0.7)), 1, len(order) - 1))
    return supplied[order[:cut]], supplied[order[cut:]]


def _terminals(lung: Mask, grid: Grid, rng: np.random.Generator) -> Point:
    """Draw the ends of both trees evenly over the lung; fewer where voxels are too coarse to show them."""
    plan = grid.at_least(PLANNING_STEP_MM)
    depth_mm = ndimage.distance_transform_edt(enlarge(lung.astype(np.float32), plan.shape) > 0.5, plan.spacing_mm)
    places = np.argwhere(depth_mm > PLEURAL_GAP_MM)
    if len(places) == 0:
        return np.zeros((2, 3))
    count = max(40, round(TERMINALS / max(1.0, grid.spacing_mm[1]) ** 2))
    picked = places[rng.integers(0, len(places), count)] + rng.uniform(-0.5, 0.5, (count, 3))
    origin = np.array([axis.ravel()[0] for axis in plan.axes()])
    return np.asarray(origin + picked * np.array(plan.spacing_mm))


def _escort(artery: Tube) -> Tube:
    radius_mm = 0.75 * artery.radius_mm
    aside = np.array([0.3, -0.8, 0.5]) * (artery.radius_mm + 1.15 * radius_mm + 0.4)
    return Tube(artery.start + aside, artery.end + aside, radius_mm)


def _wall_mm(bronchus: Tube) -> float:
    return 0.15 * bronchus.radius_mm + 0.4


class Brush:
    """Paints tubes into one lung, averaged over the thickness of a slice."""

    def __init__(self, hu: Field, lung: Mask, grid: Grid) -> None:
        self._hu, self._lung = hu, lung
        self._axes = [axis.ravel() for axis in grid.axes()]
        slice_mm = grid.spacing_mm[0]
        self._levels_mm = slice_mm * np.array([-0.33, 0.0, 0.33]) if slice_mm > 1.2 else np.zeros(1)
        self._margin_mm = np.array([EDGE_MM + slice_mm / 2, EDGE_MM, EDGE_MM])

    def paint(self, tube: Tube, value_hu: float) -> None:
        """Blend ``value_hu`` in along the tube where it lies in the lung."""
        reach = tube.radius_mm + self._margin_mm
        low, high = np.minimum(tube.start, tube.end) - reach, np.maximum(tube.start, tube.end) + reach
        box = tuple(
            slice(int(np.searchsorted(axis, lo)), int(np.searchsorted(axis, hi)))
            for axis, lo, hi in zip(self._axes, low, high, strict=True)
        )
        lung = self._lung[box]
        if not lung.any():
            return
        z, y, x = np.ix_(*(axis[part] for axis, part in zip(self._axes, box, strict=True)))
        shares = [_share(tube, z + level, y, x) for level in self._levels_mm]
        local = self._hu[box]
        local += (np.float32(value_hu) - local) * (sum(shares) / len(shares) * lung).astype(np.float32)


def _share(tube: Tube, z: Field, y: Field, x: Field) -> Field:
    """Return how much of each voxel lies in the tube, 0 to 1."""
    way = tube.end - tube.start
    dz, dy, dx = z - tube.start[0], y - tube.start[1], x - tube.start[2]
    along = np.clip((dz * way[0] + dy * way[1] + dx * way[2]) / (float(way @ way) + 1e-9), 0, 1)
    away = np.sqrt((dz - along * way[0]) ** 2 + (dy - along * way[1]) ** 2 + (dx - along * way[2]) ** 2)
    return np.asarray(np.clip((tube.radius_mm - away) / EDGE_MM + 0.5, 0, 1), np.float32)
