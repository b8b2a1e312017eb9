"""Healthy lung: air and tissue with texture, vessels, fissures, and what imitates disease without being it."""

from dataclasses import dataclass

import numpy as np

from worker.phantom import vessels
from worker.phantom.anatomy import Chest, Mask
from worker.phantom.fields import Field, Grid, smooth_noise, soft

NODULE_HU, CAP_HU, PLATE_HU = 30.0, -60.0, -60.0


@dataclass(frozen=True)
class Air:
    """What decides how a healthy lung looks: contrast in its vessels (HU), and the side that gravity pulls to."""

    contrast_hu: float
    prone: bool


def fill(chest: Chest, grid: Grid, air: Air, rng: np.random.Generator) -> Field:
    """Return the chest's HU with healthy parenchyma, vessels and hard negatives in the lungs."""
    hu = chest.hu
    lungs = chest.lungs
    background = _background(grid, lungs, air.prone, rng)
    hu = np.where(lungs, background, hu).astype(np.float32)
    vessels.paint(hu, chest, grid, air.contrast_hu, rng)
    _apical_caps(hu, lungs, grid, rng)
    _atelectasis(hu, lungs, grid, rng)
    _nodules(hu, lungs, grid, rng)
    return hu


def _background(grid: Grid, lungs: Mask, prone: bool, rng: np.random.Generator) -> Field:
    """Density rises the way gravity pulls, drifts over centimetres and is grained over millimetres."""
    _, y, _ = grid.axes()
    depth = (y - y.min()) / float(np.ptp(y))
    depth = 1 - depth if prone else depth
    mean = rng.uniform(-895, -785)
    hu: Field = np.float32(mean) + np.float32(rng.uniform(20, 90)) * (depth - 0.5)
    hu = hu + np.float32(rng.uniform(8, 22)) * smooth_noise(grid, rng.uniform(12, 30), rng)
    hu = hu + np.float32(rng.uniform(12, 30)) * smooth_noise(grid, 2.2, rng)
    hu = hu + _dependent(grid, lungs, prone, rng)
    hu = _fissures(hu, grid, rng)
    return _emphysema(hu, grid, rng)


def _dependent(grid: Grid, lungs: Mask, prone: bool, rng: np.random.Generator) -> Field:
    """A band of higher density along the lowest side of the lungs, even or not: gravity, not disease."""
    if rng.random() < 0.3:
        return np.zeros((1, 1, 1), np.float32)
    _, y, _ = grid.axes()
    if prone:
        depth_mm = np.clip(y - y.ravel()[np.argmax(lungs, axis=1)][:, None, :], 0, None)
    else:
        last = lungs.shape[1] - 1 - np.argmax(lungs[:, ::-1, :], axis=1)
        depth_mm = np.clip(y.ravel()[last][:, None, :] - y, 0, None)
    uneven = np.clip(1 + rng.uniform(0, 0.6) * smooth_noise(grid, rng.uniform(12, 30), rng), 0.2, 2.0)
    return np.asarray(rng.uniform(40, 220) * uneven * np.exp(-depth_mm / rng.uniform(3, 12)), np.float32)


def _apical_caps(hu: Field, lungs: Mask, grid: Grid, rng: np.random.Generator) -> None:
    """A dense rim of uneven thickness under the highest pleura of some: scar, not interstitial disease."""
    if rng.random() < 0.75:
        return
    z, _, _ = grid.axes()
    heights = z.ravel()[np.flatnonzero(lungs.any(axis=(1, 2)))]
    top = np.flatnonzero(z.ravel() > heights.max() - 30)
    above = lungs[top][::-1]
    # Lung that has passed on the way down from the apex, column by column.
    depth_mm = (np.cumsum(above, axis=0, dtype=np.float32) * grid.spacing_mm[0])[::-1]
    thickness_mm = rng.uniform(1, 5) * (1 + 0.5 * smooth_noise(grid, 10.0, rng)[top])
    share = soft(thickness_mm - depth_mm, 1.5) * lungs[top]
    hu[top] += (np.float32(CAP_HU) - hu[top]) * share


def _atelectasis(hu: Field, lungs: Mask, grid: Grid, rng: np.random.Generator) -> None:
    """Plates of collapsed lung in the lower half of some: lines to the eye, but single ones, and no disease."""
    if rng.random() < 0.7:
        return
    places = np.argwhere(lungs[: len(lungs) // 2 : 4, ::16, ::16]) * (4, 16, 16)
    if len(places) == 0:
        return
    axes = [axis.ravel() for axis in grid.axes()]
    for place in places[rng.integers(0, len(places), rng.integers(1, 4))]:
        normal = np.array([1.0, *rng.normal(0, 0.6, 2)])
        radius_mm, half_mm = rng.uniform(12, 30), rng.uniform(0.7, 2.0)
        reach = [round(radius_mm / step) for step in grid.spacing_mm]
        box = tuple(slice(max(0, at - n), at + n + 1) for at, n in zip(place, reach, strict=True))
        offsets = np.ix_(*(axis[part] - axis[at] for axis, part, at in zip(axes, box, place, strict=True)))
        away_mm = np.abs(sum(n * o for n, o in zip(normal / np.linalg.norm(normal), offsets, strict=True)))
        distance = np.sqrt(sum(o**2 for o in offsets))
        share = soft(half_mm - away_mm, max(0.8, grid.spacing_mm[0])) * soft(radius_mm - distance, 6.0) * lungs[box]
        hu[box] += np.maximum(np.float32(PLATE_HU) - hu[box], 0) * share


def _fissures(hu: Field, grid: Grid, rng: np.random.Generator) -> Field:
    """An oblique sheet through each lung, hardly a millimetre thick."""
    z, y, _ = grid.axes()
    waves = 3.0 * smooth_noise(grid, 50.0, rng)
    offset_mm = np.abs(0.6 * z + 0.8 * y - rng.uniform(-12, 12) + waves)
    return np.asarray(hu + rng.uniform(80, 260) * np.clip(1.2 - offset_mm, 0, 1), np.float32)


def _emphysema(hu: Field, grid: Grid, rng: np.random.Generator) -> Field:
    if rng.random() < 0.75:
        return hu
    z, _, _ = grid.axes()
    holes = smooth_noise(grid, rng.uniform(5, 10), rng) + 0.008 * z
    return np.asarray(np.where(holes > 1.8, np.minimum(hu, np.float32(-950)), hu))


def _nodules(hu: Field, lungs: Mask, grid: Grid, rng: np.random.Generator) -> None:
    places = np.argwhere(lungs[::4, ::16, ::16]) * (4, 16, 16)
    if len(places) == 0:
        return
    brush = vessels.Brush(hu, lungs, grid)
    origin = np.array([axis.ravel()[0] for axis in grid.axes()])
    for place in places[rng.integers(0, len(places), rng.poisson(0.7))]:
        centre = origin + place * np.array(grid.spacing_mm)
        brush.paint(vessels.Tube(centre, centre + 0.1, rng.uniform(2, 5)), NODULE_HU)
