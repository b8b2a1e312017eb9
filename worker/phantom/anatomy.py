"""A chest drawn from geometry: body, rib cage, mediastinum, diaphragm, airways, and the two lungs between them."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from worker.phantom.fields import Field, Grid, enlarge, smooth_noise, soft

AIR, FAT, MUSCLE, LIVER, BONE = -1000.0, -95.0, 50.0, 60.0, 450.0
# The lungs' extent is drawn for a chest that fills this height; taller and shorter fields scale it.
CHEST_HEIGHT_MM = 275.0
DRAWING_STEP_MM = 1.4
ROUNDING_MM = 3.0
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Build:
    """How this chest differs from others. Lengths in mm."""

    width: float
    depth: float
    fat: float
    dome: float
    heart: float
    bowel_gas: bool
    air_in_oesophagus: float
    contrast_hu: float
    effusion: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> "Build":
        """Draw a build from its population."""
        return cls(
            width=rng.uniform(120, 142),
            depth=rng.uniform(84, 100),
            fat=rng.uniform(6, 24),
            dome=rng.uniform(25, 50),
            heart=rng.uniform(0.85, 1.15),
            bowel_gas=bool(rng.random() < 0.6),
            air_in_oesophagus=float(rng.choice([0.0, 3.0, 6.0, 9.0])),
            contrast_hu=float(rng.choice([45.0, 45.0, 180.0, 260.0])),
            effusion=float(rng.uniform(6, 30)) if rng.random() < 0.1 else 0.0,
        )


@dataclass(frozen=True, eq=False)
class Chest:
    """The chest before disease: ``hu`` in Hounsfield units, masks on the same grid (slices, rows, columns)."""

    hu: Field
    right_lung: Mask
    left_lung: Mask
    airways: Mask

    @property
    def lungs(self) -> Mask:
        """Both lungs."""
        return self.right_lung | self.left_lung


def draw(fine: Grid, build: Build, rng: np.random.Generator) -> Chest:
    """Draw one chest. Its shapes are smooth, so they are drawn on a coarser grid and enlarged as distances."""
    grid = fine.at_least(DRAWING_STEP_MM)
    z, y, x = _warped_axes(grid, rng)
    height = grid.shape[0] * grid.spacing_mm[0] / CHEST_HEIGHT_MM
    cage = _cage(z / height, y, x, build)
    diaphragm = _diaphragm(z, y, x, build, height)
    heart = _ellipsoid((z + 55 * height, y + 25, x - 22), (58 * height, 50 * build.heart, 58 * build.heart))
    blood = np.maximum(heart, _aorta((z, y, x), build, height))
    spine = (24 - np.hypot(x, y - (build.depth - 12))).astype(np.float32)
    mediastinum = _joined(_joined(_mediastinum(z / height, y, x), blood), spine)
    airways, walls = _airways(z, y, x, height)
    fluid = _effusion((z, y), build.effusion, height)
    inside = np.minimum(np.minimum(cage - fluid, diaphragm), np.minimum(-mediastinum, -walls))
    hu = _tissue(grid, build, (z, y, x), cage)
    hu = _blend(hu, build.contrast_hu, soft(np.minimum(blood, cage), 1.5))
    hu = _blend(hu, _bone_texture(grid, rng), soft(spine, 1.5))
    hu = _abdomen(hu, (z, y, x), cage, diaphragm, build)
    hu = _blend(hu, AIR, soft(airways, 0.8))
    hu = _oesophagus(hu, (z, y, x), build)
    lungs = _main_pieces(enlarge(inside, fine.shape) > 0)
    right = lungs & (fine.axes()[2] < 0)
    return Chest(
        hu=enlarge(hu, fine.shape),
        right_lung=right,
        left_lung=lungs & ~right,
        airways=enlarge(airways, fine.shape) > 0,
    )


def _warped_axes(grid: Grid, rng: np.random.Generator) -> tuple[Field, Field, Field]:
    """Bend space a little, so that nothing is a perfect ellipse."""
    z, y, x = grid.axes()
    return z, y + 3.0 * smooth_noise(grid, 60.0, rng), x + 3.0 * smooth_noise(grid, 60.0, rng)


def _profile(z: Field) -> Field:
    """Width of the rib cage along its height, 0 at the apex (z = 122 mm), 1 at the widest place."""
    above = np.clip((z + 30) / 152, 0, 1)
    return np.sqrt(np.clip(1 - above**2.4, 0, 1)).astype(np.float32)


def _cage(z: Field, y: Field, x: Field, build: Build) -> Field:
    """Distance in mm to the inner face of the rib cage, positive inside."""
    profile = np.maximum(_profile(z), 1e-3)
    radius = np.hypot(x / (build.width * profile), y / (build.depth * np.sqrt(profile)))
    return ((1 - radius) * build.depth * profile - np.float32(0.5)).astype(np.float32)


def _diaphragm(z: Field, y: Field, x: Field, build: Build, height: float) -> Field:
    """Height in mm above the diaphragm: a dome on each side, deep recesses at the back and the sides."""
    offset = np.where(x < 0, x + 65, x - 65)
    bulge = np.clip(1 - (offset / 75) ** 2 - ((y + 12) / 88) ** 2, 0, 1)
    right_is_higher = np.where(x < 0, 10.0, 0.0)
    floor = -118 * height + (build.dome + right_is_higher) * bulge
    return (z - floor).astype(np.float32)


def _effusion(axes: tuple[Field, Field], thickness_mm: float, height: float) -> Field:
    """Thickness in mm of the fluid between rib cage and lung: a crescent at the back of the base."""
    z, y = axes
    low = np.clip((10 * height - z) / (110 * height), 0, 1)
    return np.asarray(thickness_mm * low * soft(y - 35, 40.0), np.float32)


def _mediastinum(z: Field, y: Field, x: Field) -> Field:
    """Distance into the mediastinum, positive inside: wide at the hila, a mere sheet in front of the heart."""
    hila = np.exp(-(((z - 15) / 28) ** 2) - ((y - 12) / 24) ** 2)
    half_width = 5 + 15 * np.exp(-(((y - 8) / 38) ** 2)) + 12 * hila
    return np.asarray(half_width - np.abs(x - 3), np.float32)


def _aorta(axes: tuple[Field, Field, Field], build: Build, height: float) -> Field:
    """Distance into the aorta, positive inside: up from the heart, over the arch, down along the left of the spine."""
    arch, back = 62 * height, build.depth - 38
    way = ((-20 * height, -18.0, -4.0), (arch - 10, -12.0, -6.0), (arch, back - 12, 12.0), (arch - 25, back, 20.0))
    pieces = [_capsule(axes, start, end, 14.0) for start, end in pairwise(way)]
    pieces.append(_capsule(axes, way[-1], (-400.0, back, 16.0), 11.5))
    return np.asarray(np.maximum.reduce(pieces))


def _joined(one: Field, other: Field) -> Field:
    """Unite two shapes, given as distances, with the notch between them filled as by soft tissue."""
    return np.asarray(ROUNDING_MM * np.logaddexp(one / ROUNDING_MM, other / ROUNDING_MM), np.float32)


def _ellipsoid(centred: tuple[Field, Field, Field], radii: tuple[float, float, float]) -> Field:
    """Approximate distance to an ellipsoid, positive inside."""
    r = np.sqrt(sum((axis / radius) ** 2 for axis, radius in zip(centred, radii, strict=True)))
    return ((1 - r) * min(radii)).astype(np.float32)


def _capsule(
    axes: tuple[Field, Field, Field], start: tuple[float, ...], end: tuple[float, ...], radius: float
) -> Field:
    """Distance into a tube from ``start`` to ``end`` (z, y, x), positive inside."""
    direction = np.subtract(end, start)
    length2 = float(direction @ direction)
    t = sum((axis - s) * d for axis, s, d in zip(axes, start, direction, strict=True)) / length2
    t = np.clip(t, 0, 1)
    squared = sum((axis - s - t * d) ** 2 for axis, s, d in zip(axes, start, direction, strict=True))
    return np.asarray(radius - np.sqrt(squared), np.float32)


def _airways(z: Field, y: Field, x: Field, height: float) -> tuple[Field, Field]:
    """Distance into the lumen of trachea and main bronchi, and into lumen with wall; positive inside."""
    carina, top, axes = 28 * height, 400.0, (z, y, x)
    trachea = _capsule(axes, (carina, 12, 0), (top, 4, 0), 8.5)
    right = _capsule(axes, (carina, 12, 0), (carina - 26, 16, -32), 6.5)
    left = _capsule(axes, (carina, 12, 0), (carina - 26, 18, 40), 6.0)
    lumen = np.maximum(np.maximum(trachea, right), left)
    return lumen, lumen + np.float32(1.8)


def _tissue(grid: Grid, build: Build, axes: tuple[Field, Field, Field], cage: Field) -> Field:
    """Air outside, skin and fat, muscle, ribs in the chest wall, soft tissue inside."""
    z, y, x = axes
    wall = 22.0
    body = np.float32(1.0) - np.hypot(x / (build.width + wall + build.fat + 8), y / (build.depth + wall + build.fat))
    body_mm = body * (build.depth + wall + build.fat)
    hu = np.full(grid.shape, AIR, dtype=np.float32)
    hu = _blend(hu, FAT, soft(body_mm, 1.0))
    hu = _blend(hu, MUSCLE, soft(body_mm - build.fat, 2.0))
    shell = np.minimum(np.minimum(cage + 9, -cage - 1), body_mm - build.fat - 4)
    ribs = np.minimum(shell, 9 * np.cos(2 * np.pi * (z + 0.45 * y) / 27) - 3)
    return _blend(hu, BONE, soft(ribs, 1.5))


def _bone_texture(grid: Grid, rng: np.random.Generator) -> Field:
    return (280 + 70 * smooth_noise(grid, 6.0, rng)).astype(np.float32)


def _abdomen(hu: Field, axes: tuple[Field, Field, Field], cage: Field, diaphragm: Field, build: Build) -> Field:
    """Liver and spleen below the domes; gas of stomach and bowel in some."""
    z, y, x = axes
    hu = _blend(hu, LIVER, soft(np.minimum(cage, -diaphragm), 1.5))
    if not build.bowel_gas:
        return hu
    gas = _ellipsoid((z + 122, y + 30, x - 62), (26, 26, 34))
    # A wall of stomach and diaphragm lies between the gas and the lung.
    return _blend(hu, AIR, soft(np.minimum(gas, -diaphragm - 6), 1.5))


def _oesophagus(hu: Field, axes: tuple[Field, Field, Field], build: Build) -> Field:
    if build.air_in_oesophagus == 0:
        return hu
    _, y, x = axes
    lumen = (build.air_in_oesophagus - np.hypot(x - 4, y - 40)).astype(np.float32)
    return _blend(hu, AIR, soft(lumen, 1.0))


def _blend(hu: Field, other: float | Field, share: Field) -> Field:
    result: Field = hu + (np.asarray(other, np.float32) - hu) * share
    return result


def _main_pieces(mask: Mask) -> Mask:
    """Keep the right and the left lung: the largest piece on each side and whatever is a tenth of it."""
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.isin(labels, np.flatnonzero(sizes > 0.02 * sizes.max()))
