"""The phantom: a computed chest CT whose lungs and disease are known exactly."""

from dataclasses import dataclass, replace
from uuid import NAMESPACE_OID, uuid5

import numpy as np
from scipy import ndimage

from worker.analysis.records import LEFT_LUNG, RIGHT_LUNG, LungMask, PatternMap
from worker.reading.volume import HU_FLOOR, CTVolume
from worker.training import anatomy, parenchyma
from worker.training.fields import Field, Grid
from worker.training.lesions import Disease, paint

HU_CEILING = 3071
FWHM_TO_SIGMA = 2.355
# A slice takes in a little of its neighbours: that is what smears the domes of the diaphragm.
SLICE_PROFILE = (0.15, 0.7, 0.15)


@dataclass(frozen=True)
class PhantomSpec:
    """What decides a phantom, to the last voxel.

    Attributes
    ----------
    seed
        Seed of everything drawn at random.
    shape, spacing_mm
        (slices, rows, columns).
    extent_pct
        Share of lung volume that is diseased, 0–90.
    reticulation_share
        Share of the diseased region that is reticulation, 0–1; None draws it.
    kernel_fwhm_mm
        In-plane blur of the reconstruction kernel: 0.5 is sharp, 1.5 is soft.
    noise_hu
        Standard deviation of the image noise.
    """

    seed: int
    shape: tuple[int, int, int] = (110, 512, 512)
    spacing_mm: tuple[float, float, float] = (2.5, 0.7, 0.7)
    extent_pct: float = 20.0
    reticulation_share: float | None = None
    kernel_fwhm_mm: float = 1.0
    noise_hu: float = 25.0

    @classmethod
    def drawn(cls, seed: int, shape: tuple[int, int, int] = (110, 512, 512)) -> "PhantomSpec":
        """Draw a patient and a protocol: a fifth healthy, else a median extent of about 12 %."""
        rng = np.random.default_rng((seed, 1))
        extent = 0.0 if rng.random() < 0.2 else float(np.clip(rng.lognormal(np.log(12), 0.9), 0.5, 70))
        field_mm = rng.uniform(340, 400)
        return cls(
            seed=seed,
            shape=shape,
            spacing_mm=(anatomy.CHEST_HEIGHT_MM / shape[0], field_mm / shape[1], field_mm / shape[2]),
            extent_pct=extent,
            kernel_fwhm_mm=rng.uniform(0.5, 1.5),
            noise_hu=rng.uniform(8, 70),
        )


@dataclass(frozen=True, eq=False)
class Phantom:
    """A computed chest CT and its truth, on one grid."""

    spec: PhantomSpec
    volume: CTVolume
    lungs: LungMask
    patterns: PatternMap


def render(spec: PhantomSpec) -> Phantom:
    """Compute the phantom: supine, head first, rows anterior → posterior, columns right → left."""
    rng = np.random.default_rng(spec.seed)
    grid = Grid(spec.shape, spec.spacing_mm)
    build = anatomy.Build.drawn(rng)
    chest = anatomy.draw(grid, build, rng)
    hu = parenchyma.fill(chest, grid, build.contrast_hu, rng)
    disease = Disease.drawn(spec.extent_pct, rng)
    if spec.reticulation_share is not None:
        disease = replace(disease, reticulation_share=spec.reticulation_share)
    patterns = paint(hu, chest.lungs, grid, disease, rng)
    labels = np.zeros(spec.shape, np.uint8)
    labels[chest.right_lung], labels[chest.left_lung] = RIGHT_LUNG, LEFT_LUNG
    return Phantom(spec, _volume(_acquire(hu, spec, rng), spec), LungMask(labels), PatternMap(patterns))


def uid_of(spec: PhantomSpec, what: str) -> str:
    """Return the UID of one part of a phantom: always the same for the same spec (PS3.5 B.2, UUID-derived)."""
    return f"2.25.{uuid5(NAMESPACE_OID, f'scleroscan phantom {spec} {what}').int}"


def _acquire(hu: Field, spec: PhantomSpec, rng: np.random.Generator) -> Field:
    """Blend neighbouring slices, blur by the kernel and add noise that the same kernel has shaped."""
    ndimage.correlate1d(hu, SLICE_PROFILE, axis=0, output=hu, mode="nearest")
    _, row_mm, column_mm = spec.spacing_mm
    sigma = [spec.kernel_fwhm_mm / FWHM_TO_SIGMA / step for step in (row_mm, column_mm)]
    for index in range(spec.shape[0]):
        noise = ndimage.gaussian_filter(rng.standard_normal(spec.shape[1:], dtype=np.float32), sigma)
        noise *= spec.noise_hu / max(float(noise.std()), 1e-6)
        hu[index] = ndimage.gaussian_filter(hu[index], sigma) + noise
    return hu


def _volume(hu: Field, spec: PhantomSpec) -> CTVolume:
    slices, rows, columns = spec.shape
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = (*spec.spacing_mm, 1.0)
    affine[:3, 3] = [-spec.spacing_mm[2] * (columns - 1) / 2, -spec.spacing_mm[1] * (rows - 1) / 2, 0.0]
    return CTVolume(
        hu=np.clip(np.round(hu), HU_FLOOR, HU_CEILING).astype(np.int16),
        affine=affine,
        sop_uids=tuple(uid_of(spec, f"slice {index + 1}") for index in range(slices)),
        frame_of_reference_uid=uid_of(spec, "frame of reference"),
        slice_thickness_mm=spec.spacing_mm[0],
    )
