"""Disease of the lungs: ground glass, consolidation and reticulation, each with exactly known regions.

What a region is and how dense it is are drawn independently of each other: lines lie over haze or over lung as dark as
healthy lung, and haze of every density is drawn without lines. Otherwise a network takes dense for reticulation.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from worker.analysis.records import CONSOLIDATION, GROUND_GLASS, RETICULATION
from worker.phantom import nets
from worker.phantom.anatomy import Mask
from worker.phantom.fields import Field, Grid, enlarge, smooth_noise, soft

PLANNING_STEP_MM = 3.0
# Vessels stay as they are; what is emptier than any lung is the lumen of a bronchus, also within what is solid.
VESSEL_HU, LUMEN_HU = -300.0, -950.0
# Ground glass ends where consolidation begins.
DENSEST_HAZE_HU = -320.0
GRAIN_MM = (1.2, 3.0)


@dataclass(frozen=True)
class Disease:
    """How much of the lung is diseased and how.

    Attributes
    ----------
    extent_pct
        Share of lung volume, 0–90.
    reticulation_share
        Share of the diseased region that is reticulation, 0–1.
    consolidation_share
        Share of the rest of the diseased region, its worst part, that is consolidation, 0–1.
    haze_hu
        How much denser than healthy lung ground glass is.
    haze_under_lines
        How much of that haze lies under the lines: 0 none, 1 all.
    solid_hu
        Density of consolidation.
    basal, peripheral
        How strongly disease favours the base and the pleura.
    sparing_mm
        Width of a rim under the pleura that is free, as in non-specific interstitial pneumonia.
    honeycombing
        Share of the reticulation, its worst part, that has become cysts.
    dark_cells
        Share of the meshes of the net that are emptier than healthy lung.
    grain
        How uneven haze is over a millimetre or two, sd as a share of its density; .16 to .28 in real haze
        (decision 56). It is no line.
    """

    extent_pct: float
    reticulation_share: float
    consolidation_share: float
    haze_hu: float
    haze_under_lines: float
    solid_hu: float
    basal: float
    peripheral: float
    sparing_mm: float
    honeycombing: float = 0.0
    dark_cells: float = 0.0
    grain: float = 0.0

    @classmethod
    def drawn(cls, extent_pct: float, rng: np.random.Generator) -> "Disease":
        """Draw everything but the extent: each property by itself."""
        return cls(
            extent_pct=extent_pct,
            reticulation_share=_share(rng, (0.3, 0.0, 0.0), (0.4, 0.1, 0.7), (0.3, 0.7, 1.0)),
            consolidation_share=_share(rng, (0.6, 0.0, 0.0), (0.3, 0.05, 0.4), (0.1, 0.4, 0.9)),
            haze_hu=rng.uniform(70, 450),
            haze_under_lines=_share(rng, (0.5, 0.0, 0.0), (0.3, 0.05, 0.6), (0.2, 0.6, 1.0)),
            solid_hu=rng.uniform(-280, 30),
            basal=rng.uniform(0.3, 1.4),
            peripheral=_share(rng, (0.5, 0.4, 1.6), (0.5, 1.6, 6.0)),
            sparing_mm=float(rng.uniform(2, 8)) if rng.random() < 0.2 else 0.0,
            honeycombing=float(rng.uniform(0.05, 0.25)) if rng.random() < 0.15 else 0.0,
            dark_cells=float(rng.uniform(0.1, 0.6)) if rng.random() < 0.35 else 0.0,
            grain=_share(rng, (0.35, 0.0, 0.0), (0.65, 0.1, 0.3)),
        )


def _share(rng: np.random.Generator, *bands: tuple[float, float, float]) -> float:
    """Draw from one of ``bands``, each (probability, lowest, highest)."""
    band = bands[int(rng.choice(len(bands), p=[probability for probability, _, _ in bands]))]
    return float(rng.uniform(*band[1:]))


def paint(hu: Field, lungs: Mask, grid: Grid, disease: Disease, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Paint disease into ``hu`` in place and return its labels, as in ``PatternMap``."""
    labels = np.zeros(grid.shape, np.uint8)
    if disease.extent_pct <= 0:
        return labels
    severity = _severity(lungs, grid, disease, rng)
    threshold = np.quantile(severity[lungs], 1 - disease.extent_pct / 100)
    lesion = (severity > threshold) & lungs
    labels[lesion] = GROUND_GLASS
    net = _worst(severity, lesion, disease.reticulation_share, grid, rng)
    labels[lesion & (net > 0.5)] = RETICULATION
    solid = _worst(severity, labels == GROUND_GLASS, disease.consolidation_share, grid, rng)
    labels[solid > 0.5] = CONSOLIDATION
    alpha = soft(severity - threshold, float(rng.uniform(0.08, 0.25))) * lungs
    _paint_haze(hu, alpha * (1 - (1 - np.float32(disease.haze_under_lines)) * net), grid, disease, rng)
    _paint_solid(hu, solid, grid, disease, rng)
    nets.paint(hu, net, grid, disease.dark_cells * (disease.haze_under_lines == 0), rng)
    if disease.honeycombing > 0:
        worst = _worst(severity, labels == RETICULATION, disease.honeycombing, grid, rng)
        nets.paint_honeycombs(hu, worst > 0.5, grid, rng)
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


def _worst(severity: Field, region: Mask, share: float, grid: Grid, rng: np.random.Generator) -> Field:
    """Return the worst part of a region, 0 to 1, in patches of its own; it fades over its edge inside the region."""
    if share <= 0 or not region.any():
        return np.zeros(grid.shape, np.float32)
    plan = severity + 0.6 * smooth_noise(grid, 25.0, rng)
    threshold = np.quantile(plan[region], 1 - share)
    return soft(plan - np.float32(threshold), 0.2) * region


def _paint_haze(hu: Field, alpha: Field, grid: Grid, disease: Disease, rng: np.random.Generator) -> None:
    """Add haze, coarse, cloudy and uneven over centimetres; it grows no denser than ground glass is."""
    cloud = 1 + 0.25 * smooth_noise(grid, rng.uniform(4, 14), rng)
    if rng.random() < 0.5:
        cloud += np.float32(rng.uniform(0.1, 0.5)) * smooth_noise(grid, rng.uniform(20, 50), rng)
    if disease.grain > 0:
        cloud += np.float32(disease.grain) * smooth_noise(grid, rng.uniform(*GRAIN_MM), rng)
    lung = hu < VESSEL_HU
    denser = hu + (disease.haze_hu * np.clip(cloud, 0.3, 1.8) * alpha).astype(np.float32)
    np.copyto(hu, np.minimum(denser, np.maximum(hu, np.float32(DENSEST_HAZE_HU))), where=lung)


def _paint_solid(hu: Field, solid: Field, grid: Grid, disease: Disease, rng: np.random.Generator) -> None:
    """Fill alveoli: as dense as tissue, with vessels of their own density and air left in the bronchi."""
    if not solid.any():
        return
    density = np.float32(disease.solid_hu) + np.float32(25) * smooth_noise(grid, 6.0, rng)
    filled = (hu > LUMEN_HU) & (hu < density)
    hu += np.where(filled, (density - hu) * solid, np.float32(0))
