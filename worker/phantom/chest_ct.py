"""The phantom: a computed chest CT whose lungs and disease are known exactly."""

from dataclasses import dataclass, field, replace
from uuid import NAMESPACE_OID, uuid5

import numpy as np
from scipy import ndimage

from worker.analysis.records import LEFT_LUNG, RIGHT_LUNG, LungMask, PatternMap
from worker.phantom import acquisition, anatomy, parenchyma
from worker.phantom.acquisition import Protocol
from worker.phantom.fields import Field, Grid, middles, thickened
from worker.phantom.lesions import Disease, paint
from worker.reading.volume import HU_FLOOR, CTVolume

HU_CEILING = 3071
THICKEST_DRAWN_MM = 3.0


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
    consolidation_share
        Share of the rest of the diseased region that is consolidation, 0–1; None draws it.
    solid_hu
        Density of the consolidation; None draws it.
    disease
        All of the disease as it is; extent and shares play no part then.
    protocol
        Kernel and noise.
    prone
        The patient lies on the belly: gravity pulls forward.
    """

    seed: int
    shape: tuple[int, int, int] = (110, 512, 512)
    spacing_mm: tuple[float, float, float] = (2.5, 0.7, 0.7)
    extent_pct: float = 20.0
    reticulation_share: float | None = None
    consolidation_share: float | None = None
    solid_hu: float | None = None
    disease: Disease | None = None
    protocol: Protocol = field(default_factory=Protocol)
    prone: bool = False

    @classmethod
    def drawn(cls, seed: int, shape: tuple[int, int, int] = (110, 512, 512), held_out: bool = False) -> "PhantomSpec":
        """Draw a patient and a protocol: a fifth healthy, else a median extent of about 12 %.

        ``held_out`` draws kernel and noise from the bands that training leaves out.
        """
        rng = np.random.default_rng((seed, 1))
        extent = 0.0 if rng.random() < 0.2 else float(np.clip(rng.lognormal(np.log(12), 0.9), 0.5, 70))
        field_mm = rng.uniform(340, 400)
        slice_mm = anatomy.CHEST_HEIGHT_MM / shape[0]
        return cls(
            seed=seed,
            shape=shape,
            spacing_mm=(slice_mm, field_mm / shape[1], field_mm / shape[2]),
            extent_pct=extent,
            protocol=Protocol.drawn(slice_mm, rng, held_out),
            prone=bool(rng.random() < 0.15),
        )


@dataclass(frozen=True, eq=False)
class Scene:
    """The chest as it is, before any scanner: ``hu`` float32, and its truth, on one grid."""

    hu: Field
    lungs: LungMask
    patterns: PatternMap

    def thickened(self, parts: int, every: int = 1) -> "Scene":
        """Return the scene in slices of ``parts`` thin ones, of which one in ``every`` is kept."""
        lungs, patterns = (middles(mask.labels, parts, every) for mask in (self.lungs, self.patterns))
        return Scene(thickened(self.hu, parts, every), LungMask(lungs), PatternMap(patterns))


@dataclass(frozen=True, eq=False)
class Phantom:
    """A computed chest CT and its truth, on one grid."""

    spec: PhantomSpec
    volume: CTVolume
    lungs: LungMask
    patterns: PatternMap


def render(spec: PhantomSpec) -> Phantom:
    """Compute the phantom: slices feet → head, rows anterior → posterior, columns right → left."""
    drawn = scene(spec)
    seen = ndimage.correlate1d(drawn.hu, acquisition.SLICE_PROFILE, axis=0, mode="nearest")
    return exposed(spec, seen, drawn.lungs, drawn.patterns)


def scene(spec: PhantomSpec) -> Scene:
    """Draw anatomy and disease; kernel and noise of ``spec`` play no part.

    A thick slice is the mean of thinner ones, its truth that of its middle: so borders that run askew are blurred.
    """
    parts = max(1, round(spec.spacing_mm[0] / THICKEST_DRAWN_MM))
    slices, rows, columns = spec.shape
    if parts == 1:
        return _drawn(spec)
    thin_mm = (spec.spacing_mm[0] / parts, *spec.spacing_mm[1:])
    thin = _drawn(replace(spec, shape=(slices * parts, rows, columns), spacing_mm=thin_mm))
    return thin.thickened(parts)


def _drawn(spec: PhantomSpec) -> Scene:
    rng = np.random.default_rng(spec.seed)
    grid = Grid(spec.shape, spec.spacing_mm)
    build = anatomy.Build.drawn(rng)
    chest = anatomy.draw(grid, build, rng)
    hu = parenchyma.fill(chest, grid, parenchyma.Air(build.contrast_hu, spec.prone), rng)
    patterns = paint(hu, chest.lungs, grid, spec.disease or _disease(spec, rng), rng)
    labels = np.zeros(spec.shape, np.uint8)
    labels[chest.right_lung], labels[chest.left_lung] = RIGHT_LUNG, LEFT_LUNG
    return Scene(hu, LungMask(labels), PatternMap(patterns))


def _disease(spec: PhantomSpec, rng: np.random.Generator) -> Disease:
    names = ("reticulation_share", "consolidation_share", "solid_hu")
    asked = {name: value for name in names if (value := getattr(spec, name)) is not None}
    return replace(Disease.drawn(spec.extent_pct, rng), **asked)


def exposed(spec: PhantomSpec, hu: Field, lungs: LungMask, patterns: PatternMap) -> Phantom:
    """Return anatomy, float32 (slices, rows, columns), as the protocol of ``spec`` shows it; works in place."""
    rng = np.random.default_rng((spec.seed, 3))
    for index in range(spec.shape[0]):
        plane = hu[index : index + 1]
        plane[...] = acquisition.expose(plane, spec.spacing_mm[1:], spec.protocol, rng)
    return Phantom(spec, _volume(hu, spec), lungs, patterns)


def uid_of(spec: PhantomSpec, what: str) -> str:
    """Return the UID of one part of a phantom: always the same for the same spec (PS3.5 B.2, UUID-derived)."""
    return f"2.25.{uuid5(NAMESPACE_OID, f'scleroscan phantom {spec} {what}').int}"


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
