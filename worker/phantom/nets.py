"""The lines of reticulation: walls between jittered Voronoi cells, the cells dark or not, and honeycombing."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from worker.phantom.fields import Field, Grid

CYST_HU, CYST_WALL_HU, DARK_CELL_HU = -940.0, -120.0, -985.0
# HU of a line before the scanner blurs it. On real fibrosis of 1 mm slices the ridges stand at −540 to −200.
LINE_HU = (-380.0, 20.0)
# Septal lines are long and few, the net between them fine: (cells in mm, width of the lines in mm).
SEPTAL, FINE = ((8.0, 16.0), (0.9, 1.6)), ((2.2, 6.0), (0.5, 1.0))
# A thick slice averages over its height.
LEVEL_MM = 0.9
Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class VoronoiNet:
    """The walls between cells around ``seeds`` (n, 3), in mm; the share ``kept`` of the walls exists."""

    seeds: Points
    kept: float

    @classmethod
    def drawn(cls, points: Points, cell_mm: float, kept: float, rng: np.random.Generator) -> "VoronoiNet":
        """Draw cells about ``cell_mm`` wide wherever ``points`` (n, 3) lie."""
        low = points.min(axis=0) - 2 * cell_mm
        counts = np.ceil((points.max(axis=0) + 2 * cell_mm - low) / cell_mm).astype(int) + 1
        lattice = np.stack(np.meshgrid(*(np.arange(n) for n in counts), indexing="ij"), axis=-1).reshape(-1, 3)
        seeds = low + (lattice + rng.uniform(-0.45, 0.45, lattice.shape)) * cell_mm
        used = np.zeros(counts, np.bool_)
        used[tuple(((points - low) / cell_mm).astype(int).T)] = True
        near = ndimage.binary_dilation(used, np.ones((3, 3, 3)), iterations=2)
        return cls(seeds[near.ravel()], kept)

    def walls(self, points: Points, width_mm: float, edge_mm: float) -> tuple[Field, NDArray[np.intp]]:
        """Return how much of a wall each point lies on, 0 to 1, fading over ``edge_mm``, and in whose cell it lies."""
        away, nearest = cKDTree(self.seeds).query(points, k=2, workers=-1)
        share = np.clip((width_mm / 2 - (away[:, 1] - away[:, 0]) / 2) / edge_mm + 0.5, 0, 1)
        pair = np.sort(nearest, axis=1)
        # A fixed hash of the two cells decides for the whole wall, so that a wall is drawn or left out as one.
        drawn = ((pair[:, 0] * 73856093) ^ (pair[:, 1] * 19349663)) % 1000
        strength = np.where(drawn < self.kept * 1000, 1 - 0.4 * drawn / (self.kept * 1000), 0.0)
        return np.asarray(share * strength, np.float32), nearest[:, 0]


def paint(hu: Field, strength: Field, grid: Grid, dark_share: float, rng: np.random.Generator) -> None:
    """Draw septal lines and a finer net into ``hu`` in place, as strongly as ``strength`` (0 to 1) says.

    ``dark_share`` of the fine net's cells are emptier than healthy lung.
    """
    voxels = np.argwhere(strength > 0)
    if len(voxels) == 0:
        return
    index = tuple(voxels.T)
    points = voxels * np.array(grid.spacing_mm)
    share = np.zeros(len(voxels), np.float32)
    levels_mm = _levels(grid.spacing_mm[0])
    for cells, widths in (SEPTAL, FINE):
        width_mm = float(rng.uniform(*widths))
        net = VoronoiNet.drawn(points, float(rng.uniform(*cells)), float(rng.uniform(0.45, 0.85)), rng)
        at_levels = [net.walls(points + np.array([level, 0, 0]), width_mm, grid.spacing_mm[1]) for level in levels_mm]
        share = np.maximum(share, sum(walls for walls, _ in at_levels) / len(at_levels))
    # The last net is the fine one.
    dark = np.mean([(cell * 2654435761) % 1000 < dark_share * 1000 for _, cell in at_levels], axis=0)
    ground = hu[index]
    ground = ground + np.minimum(DARK_CELL_HU - ground, 0) * (dark * strength[index]).astype(np.float32)
    line_hu = np.float32(rng.uniform(*LINE_HU))
    hu[index] = ground + np.maximum(line_hu - ground, 0) * share * strength[index]


def paint_honeycombs(hu: Field, where: NDArray[np.bool_], grid: Grid, rng: np.random.Generator) -> None:
    """Draw honeycombing in place: cysts of a few millimetres side by side, air with walls."""
    voxels = np.argwhere(where)
    if len(voxels) == 0:
        return
    points = voxels * np.array(grid.spacing_mm)
    net = VoronoiNet.drawn(points, float(rng.uniform(3.5, 8)), 1.0, rng)
    width_mm = float(rng.uniform(1.0, 1.8))
    levels_mm = _levels(grid.spacing_mm[0])
    walls = sum(net.walls(points + np.array([level, 0, 0]), width_mm, grid.spacing_mm[1])[0] for level in levels_mm)
    hu[tuple(voxels.T)] = CYST_HU + (CYST_WALL_HU - CYST_HU) * walls / len(levels_mm)


def _levels(slice_mm: float) -> NDArray[np.float64]:
    """Return the heights in a slice, in mm from its middle, at which what is fine is looked at."""
    count = max(1, round(slice_mm / LEVEL_MM))
    return slice_mm * ((np.arange(count) + 0.5) / count - 0.5)
