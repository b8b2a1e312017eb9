"""What a scanner does to anatomy.

Slices of some thickness, a reconstruction kernel, and noise that the kernel shapes.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from worker.phantom.fields import Field

FWHM_TO_SIGMA = 2.355
# A slice takes in a little of its neighbours: that is what smears the domes of the diaphragm.
SLICE_PROFILE = (0.15, 0.7, 0.15)
# The blur that a sharp kernel subtracts again is so much wider than its own.
SURROUND = 2.5
# Kernels and noise levels that training leaves out, so that held-out phantoms can show what was not learnt by heart.
FWHM_MM, UNSEEN_FWHM_MM = (0.5, 1.5), (0.8, 1.0)
UNSEEN_NOISE = (0.45, 0.6)
SHARP_BELOW_MM = 0.8
# Of real slices that many stay as they are; the rest is softened, sharpened, or given more noise.
UNCHANGED_SHARE, SHARPENED_FROM, NOISIER_FROM = 0.4, 0.6, 0.75
LEAST_NOISE_HU, MOST_NOISE_HU = 8.0, 80.0
# Some archives hold images made smaller: pixels so many times as wide.
SHRUNK = (1.3, 2.8)
# Shoulders and arms swallow photons sideways: noise of long, flat streaks, voxels long and high, in bands of rows.
STREAK_VOXELS, STREAK_BAND_VOXELS, STREAK_HU = (0.6, 10.0), 12.0, (10.0, 45.0)


@dataclass(frozen=True)
class Protocol:
    """How an image was made.

    Attributes
    ----------
    kernel_fwhm_mm
        In-plane blur of the reconstruction kernel: 0.5 is sharp, 1.5 is soft.
    overshoot
        How much a sharp kernel exaggerates edges: 0 not at all, 0.6 strongly.
    noise_hu
        Standard deviation of the image noise.
    """

    kernel_fwhm_mm: float = 1.0
    overshoot: float = 0.0
    noise_hu: float = 25.0

    @classmethod
    def drawn(cls, thickness_mm: float, rng: np.random.Generator, held_out: bool = False) -> "Protocol":
        """Draw a protocol: noise falls with blur and with the root of the thickness, as counting photons has it.

        ``held_out`` draws from the bands of kernel and noise that training never sees.
        """
        fwhm_mm = _drawn(FWHM_MM, UNSEEN_FWHM_MM, held_out, rng)
        level = _drawn((0.0, 1.0), UNSEEN_NOISE, held_out, rng)
        most_hu = min(MOST_NOISE_HU, 60 / fwhm_mm / max(thickness_mm, 0.6) ** 0.5)
        overshoot = float(rng.uniform(0, 0.6)) if fwhm_mm < SHARP_BELOW_MM else 0.0
        return cls(fwhm_mm, overshoot, LEAST_NOISE_HU + level * max(most_hu - LEAST_NOISE_HU, 0.0))


def _drawn(whole: tuple[float, float], unseen: tuple[float, float], held_out: bool, rng: np.random.Generator) -> float:
    """Draw from the unseen band, or from the rest of the whole range."""
    if held_out:
        return float(rng.uniform(*unseen))
    width = whole[1] - whole[0] - (unseen[1] - unseen[0])
    value = whole[0] + float(rng.uniform(0, width))
    return value if value < unseen[0] else value + unseen[1] - unseen[0]


def expose(slices: Field, spacing_mm: tuple[float, float], protocol: Protocol, rng: np.random.Generator) -> Field:
    """Return slices (n, rows, columns) in HU as the kernel shows them, with noise that the same kernel has shaped.

    ``spacing_mm`` is (rows, columns).
    """
    sigma = [0.0, *(protocol.kernel_fwhm_mm / FWHM_TO_SIGMA / step for step in spacing_mm)]
    noise = _filtered(rng.standard_normal(slices.shape, dtype=np.float32), sigma, protocol.overshoot)
    noise *= protocol.noise_hu / max(float(noise.std()), 1e-6)
    noise += _filtered(slices, sigma, protocol.overshoot)
    return noise


def exposed_again(slices: Field, spacing_mm: tuple[float, float], rng: np.random.Generator) -> Field:
    """Return slices of a real scanner as another kernel may have shown them: softer, sharper, noisier or as they are.

    Slices are float32 (n, rows, columns) in HU, ``spacing_mm`` is (rows, columns).
    """
    choice = rng.random()
    if choice < UNCHANGED_SHARE:
        return slices
    sigma = [0.0, *(rng.uniform(0.5, 1.2) / FWHM_TO_SIGMA / step for step in spacing_mm)]
    if choice < SHARPENED_FROM:
        return _filtered(slices, sigma, 0.0)
    if choice < NOISIER_FROM:
        softer = ndimage.gaussian_filter(slices, sigma)
        return np.asarray(slices + rng.uniform(0.2, 0.8) * (slices - softer), np.float32)
    noise = _filtered(rng.standard_normal(slices.shape, dtype=np.float32), sigma, 0.0)
    noise *= rng.uniform(10, 50) / max(float(noise.std()), 1e-6)
    return slices + noise


def shrunk(slices: Field, rng: np.random.Generator) -> Field:
    """Return slices (n, rows, columns) as they look after they were stored with larger pixels."""
    factor = rng.uniform(*SHRUNK)
    small = ndimage.zoom(
        ndimage.gaussian_filter(slices, [0.0, factor / 3, factor / 3]), (1, 1 / factor, 1 / factor), order=1
    )
    back = [1.0, *(whole / part for whole, part in zip(slices.shape[1:], small.shape[1:], strict=True))]
    return np.asarray(ndimage.zoom(small, back, order=1), np.float32)


def streaked(slices: Field, rng: np.random.Generator) -> Field:
    """Return slices (n, rows, columns) in HU with streaks from side to side, stronger in some rows than in others."""
    noise = ndimage.gaussian_filter(rng.standard_normal(slices.shape, dtype=np.float32), [0.0, *STREAK_VOXELS])
    noise *= np.abs(ndimage.gaussian_filter1d(rng.standard_normal(slices.shape[1]), STREAK_BAND_VOXELS))[:, None]
    return np.asarray(slices + noise * (rng.uniform(*STREAK_HU) / max(float(noise.std()), 1e-6)), np.float32)


def _filtered(slices: Field, sigma: list[float], overshoot: float) -> Field:
    blurred = ndimage.gaussian_filter(slices, sigma, truncate=3.0)
    if overshoot <= 0:
        return np.asarray(blurred, np.float32)
    surround = ndimage.gaussian_filter(slices, [SURROUND * s for s in sigma], truncate=2.5)
    return np.asarray(blurred + overshoot * (blurred - surround), np.float32)
