"""Disease of systemic sclerosis in the lungs: ground glass and reticulation with exactly known regions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from worker.analysis.records import GROUND_GLASS, RETICULATION
from worker.phantom.anatomy import Mask
from worker.phantom.fields import Field, Grid, enlarge, smooth_noise, soft

PLANNING_STEP_MM = 3.0
CYST_HU, CYST_WALL_HU = -940.0, -120.0
# As dense as interstitial disease gets; what is denser is consolidation, which no density tells from fluid or liver.
DENSE_HU, DENSE_SPREAD_HU = -250.0, 40.0


@dataclass(frozen=True)
class Disease:
    """How much of the lung is diseased and how.

    ``extent_pct`` is the share of lung volume, 0–90; ``reticulation_share`` the share of the diseased region that is
    reticulation, 0–1; ``sparing_mm`` keeps a rim under the pleura free, as in non-specific interstitial pneumonia;
    ``honeycombing`` is the share of the reticulation, its worst part, that has become cysts; ``dense_share`` that of
    the lesion, its worst part, that is nearly solid.
    """

    extent_pct: float
    reticulation_share: float
    haze_hu: float
    basal: float
    peripheral: float
    sparing_mm: float
    honeycombing: float = 0.0
    dense_share: float = 0.0

    @classmethod
    def drawn(cls, extent_pct: float, rng: np.random.Generator) -> "Disease":
        """Draw everything but the extent from the population of SSc lungs."""
        return cls(
            extent_pct=extent_pct,
            reticulation_share=float(np.clip(rng.normal(0.45, 0.2), 0, 0.9)),
            haze_hu=rng.uniform(90, 330),
            basal=rng.uniform(0.4, 1.4),
            peripheral=rng.uniform(0.4, 1.6),
            sparing_mm=float(rng.uniform(2, 8)) if rng.random() < 0.3 else 0.0,
            honeycombing=float(rng.uniform(0.05, 0.25)) if rng.random() < 0.15 else 0.0,
        )


def paint(hu: Field, lungs: Mask, grid: Grid, disease: Disease, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Paint disease into ``hu`` in place and return its labels (0 none, 1 ground glass, 2 reticulation)."""
    labels = np.zeros(grid.shape, np.uint8)
    if disease.extent_pct <= 0:
        return labels
    severity = _severity(lungs, grid, disease, rng)
    threshold = np.quantile(severity[lungs], 1 - disease.extent_pct / 100)
    lesion = (severity > threshold) & lungs
    alpha = soft(severity - threshold, float(rng.uniform(0.08, 0.25))) * lungs
    cloud = 1 + 0.25 * smooth_noise(grid, rng.uniform(4, 14), rng)
    hu += (disease.haze_hu * np.clip(cloud, 0.45, 1.6) * alpha * (hu < -300)).astype(np.float32)
    np.minimum(hu, np.where(lesion & (hu < -300), np.float32(-420), hu), out=hu)
    labels[lesion] = GROUND_GLASS
    strength = _net_strength(severity, lesion, grid, disease, rng)
    labels[lesion & (strength > 0.5)] = RETICULATION
    _paint_net(hu, strength, grid, rng)
    if disease.honeycombing > 0:
        _paint_cysts(hu, np.where(labels == RETICULATION, severity, -np.inf), grid, disease.honeycombing, rng)
    if disease.dense_share > 0:
        dense = lesion & (severity >= np.quantile(severity[lesion], 1 - disease.dense_share))
        solid = DENSE_HU + DENSE_SPREAD_HU * rng.standard_normal(np.count_nonzero(dense))
        hu[dense] = np.maximum(hu[dense], solid.astype(np.float32))
    return labels


def _severity(lungs: Mask, grid: Grid, disease: Disease, rng: np.random.Generator) -> Field:
    """How likely each place is diseased: near the pleura, at the base, at the back, in patches."""
    plan = grid.at_least(PLANNING_STEP_MM)
    coarse = enlarge(lungs.astype(np.float32), plan.shape) > 0.5
    pleura_mm = ndimage.distance_transform_edt(np.pad(coarse, 1), plan.spacing_mm)[1:-1, 1:-1, 1:-1]
    z, y, _ = plan.axes()
    heights = z.ravel()[np.flatnonzero(coarse.any(axis=(1, 2)))]
    height = (z - heights.min()) / max(float(np.ptp(heights)), 1.0)
    severity = -disease.peripheral * pleura_mm / 18 - disease.basal * 2.2 * height + 0.8 * (y / 90)
    severity = severity + 0.85 * smooth_noise(plan, rng.uniform(18, 45), rng) + 0.3 * smooth_noise(plan, 9.0, rng)
    severity = severity - 2.5 * soft((disease.sparing_mm - pleura_mm).astype(np.float32), 3.0) * (
        disease.sparing_mm > 0
    )
    return enlarge(severity, grid.shape)


def _net_strength(severity: Field, lesion: Mask, grid: Grid, disease: Disease, rng: np.random.Generator) -> Field:
    """Return how strongly reticulation is drawn, 0 to 1: in the worst part of the lesion, in patches of its own."""
    if disease.reticulation_share <= 0:
        return np.zeros(grid.shape, np.float32)
    plan = severity + 0.6 * smooth_noise(grid, 25.0, rng)
    threshold = np.quantile(plan[lesion], 1 - disease.reticulation_share)
    return soft(plan - np.float32(threshold), 0.2) * lesion


def _paint_net(hu: Field, strength: Field, grid: Grid, rng: np.random.Generator) -> None:
    """Draw the walls of jittered Voronoi cells, many of them left out: septal lines and a finer intralobular net."""
    voxels = np.argwhere(strength > 0)
    if len(voxels) == 0:
        return
    slice_mm, row_mm, _ = grid.spacing_mm
    points = voxels * np.array(grid.spacing_mm)
    # A thick slice averages over its height.
    levels_mm = (-0.25 * slice_mm, 0.25 * slice_mm) if slice_mm > 1.2 else (0.0,)
    share = np.zeros(len(voxels), np.float32)
    for cell_mm, width_mm in (
        (rng.uniform(8, 16), rng.uniform(1.0, 1.8)),
        (rng.uniform(2.4, 4.5), rng.uniform(0.5, 0.9)),
    ):
        net = VoronoiNet.drawn(points, cell_mm, float(rng.uniform(0.4, 0.7)), rng)
        drawn = sum(net.walls(points + np.array([level, 0, 0]), width_mm, row_mm) for level in levels_mm) / len(
            levels_mm
        )
        share = np.maximum(share, drawn)
    line_hu = np.float32(rng.uniform(-180, 20))
    index = tuple(voxels.T)
    dark = hu[index]
    hu[index] = dark + np.maximum(line_hu - dark, 0) * share * strength[index]


def _paint_cysts(hu: Field, severity: Field, grid: Grid, share: float, rng: np.random.Generator) -> None:
    """Draw honeycombing: cysts of a few millimetres side by side, air with walls, in the worst of the reticulation."""
    reticular = severity > -np.inf
    if not reticular.any():
        return
    worst = reticular & (severity >= np.quantile(severity[reticular], 1 - share))
    voxels = np.argwhere(worst)
    points = voxels * np.array(grid.spacing_mm)
    net = VoronoiNet.drawn(points, float(rng.uniform(3.5, 8)), 1.0, rng)
    walls = net.walls(points, float(rng.uniform(1.0, 1.8)), grid.spacing_mm[1])
    hu[tuple(voxels.T)] = CYST_HU + (CYST_WALL_HU - CYST_HU) * walls


@dataclass(frozen=True, eq=False)
class VoronoiNet:
    """The walls between cells around ``seeds`` (n, 3), in mm; the share ``kept`` of the walls exists."""

    seeds: NDArray[np.float64]
    kept: float

    @classmethod
    def drawn(cls, points: NDArray[np.float64], cell_mm: float, kept: float, rng: np.random.Generator) -> "VoronoiNet":
        """Draw cells about ``cell_mm`` wide wherever ``points`` (n, 3) lie."""
        low = points.min(axis=0) - 2 * cell_mm
        counts = np.ceil((points.max(axis=0) + 2 * cell_mm - low) / cell_mm).astype(int) + 1
        lattice = np.stack(np.meshgrid(*(np.arange(n) for n in counts), indexing="ij"), axis=-1).reshape(-1, 3)
        seeds = low + (lattice + rng.uniform(-0.45, 0.45, lattice.shape)) * cell_mm
        used = np.zeros(counts, np.bool_)
        used[tuple(((points - low) / cell_mm).astype(int).T)] = True
        near = ndimage.binary_dilation(used, np.ones((3, 3, 3)), iterations=2)
        return cls(seeds[near.ravel()], kept)

    def walls(self, points: NDArray[np.float64], width_mm: float, edge_mm: float) -> Field:
        """Return how much of a wall each point lies on, 0 to 1, fading over ``edge_mm``."""
        away, nearest = cKDTree(self.seeds).query(points, k=2, workers=-1)
        share = np.clip((width_mm / 2 - (away[:, 1] - away[:, 0]) / 2) / edge_mm + 0.5, 0, 1)
        pair = np.sort(nearest, axis=1)
        # A fixed hash of the two cells decides for the whole wall, so that a wall is drawn or left out as one.
        exists = ((pair[:, 0] * 73856093) ^ (pair[:, 1] * 19349663)) % 1000 < self.kept * 1000
        return np.asarray(share * exists, np.float32)
