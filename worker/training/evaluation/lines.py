"""Whether lines are told from density: lesions as dense as each other with and without lines, thickness by thickness.

Out of this table comes from which thickness on reticulation cannot be assessed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from worker.analysis import patterns
from worker.analysis.patterns.model import PatternModel
from worker.analysis.records import RETICULATION, LungMask, PatternMap
from worker.phantom import chest_ct
from worker.phantom.acquisition import Protocol
from worker.phantom.anatomy import CHEST_HEIGHT_MM
from worker.phantom.chest_ct import Phantom, PhantomSpec, Scene
from worker.phantom.lesions import Disease
from worker.training.evaluation import score

THIN_SLICES = 458
THIN_MM = CHEST_HEIGHT_MM / THIN_SLICES
# Thin slices that make one: 0.6, 1.2, 1.8, 2.4 and 4.8 mm. Noise falls with the root of it.
MERGED = (1, 2, 3, 4, 8)
KERNELS = {"sharp": Protocol(0.6, 0.4, 70.0), "soft": Protocol(1.4, 0.0, 25.0)}
# The part of the chest that is looked at, in shares of its height: below the carina.
LOOKED_AT = (0.12, 0.45)
# What lies there: (name, share that is reticulation, haze in HU, share of the haze under the lines, its grain).
KINDS = (
    ("lines over healthy lung", 1.0, 0.0, 0.0, 0.0),
    ("haze without lines", 0.0, 200.0, 0.0, 0.0),
    ("coarse haze without lines", 0.0, 200.0, 0.0, 0.22),
    ("dense haze without lines", 0.0, 430.0, 0.0, 0.0),
    ("lines over haze", 1.0, 200.0, 1.0, 0.0),
)
Kind = tuple[str, float, float, float, float]
EXTENT_PCT = 15.0


@dataclass(frozen=True)
class LinesRow:
    """One kind of lesion, acquired in one way. Shares are 0..1, means over the patients.

    ``found`` is how much of the lesion was called diseased, ``called_lines`` how much of it reticulation; ``dice`` is
    that of reticulation, 0 where there is none.
    """

    kind: str
    kernel: str
    thickness_mm: str
    found: float
    called_lines: float
    dice: float


def run(
    seeds: Sequence[int], model: PatternModel, report: Callable[[str, int, int], None], side: int = 512
) -> list[LinesRow]:
    """Acquire every kind of lesion of every patient in every way."""
    values: dict[tuple[str, str, int], list[tuple[float, float, float]]] = {}
    done = 0
    for seed in seeds:
        for kind in KINDS:
            for key, row in _of_kind(seed, kind, model, side):
                values.setdefault(key, []).append(row)
            done += 1
            report("lines and density", done, len(seeds) * len(KINDS))
    return [
        LinesRow(name, kernel, f"{THIN_MM * merged:.1f}", *(round(float(v), 3) for v in np.mean(rows, axis=0)))
        for (name, kernel, merged), rows in values.items()
    ]


def _of_kind(
    seed: int, kind: Kind, model: PatternModel, side: int
) -> Iterator[tuple[tuple[str, str, int], tuple[float, float, float]]]:
    spec, scene = _thin(seed, kind, side)
    for kernel, protocol in KERNELS.items():
        for merged in MERGED:
            acquired = _acquired(scene, spec, protocol, merged)
            found, true = patterns.segment(acquired.volume, acquired.lungs, model).labels, acquired.patterns.labels
            lesion = true > 0
            dice = score.dice(found == RETICULATION, true == RETICULATION) if kind[1] else None
            shares = (np.mean(found[lesion] > 0), np.mean(found[lesion] == RETICULATION), dice or 0.0)
            yield (kind[0], kernel, merged), (float(shares[0]), float(shares[1]), float(shares[2]))


def _thin(seed: int, kind: Kind, side: int) -> tuple[PhantomSpec, Scene]:
    """Draw a patient whose lesions lie in one place whatever their kind, and keep the part that is looked at."""
    _, lines, haze_hu, under, grain = kind
    drawn = Disease.drawn(EXTENT_PCT, np.random.default_rng((seed, 5)))
    disease = replace(
        drawn,
        reticulation_share=lines,
        consolidation_share=0.0,
        haze_hu=haze_hu,
        haze_under_lines=under,
        honeycombing=0.0,
        grain=grain,
    )
    spec = replace(PhantomSpec.drawn(seed, (THIN_SLICES, side, side)), disease=disease)
    scene = chest_ct.scene(spec)
    kept = slice(*(round(share * THIN_SLICES) for share in LOOKED_AT))
    lungs, labels = (mask.labels[kept].copy() for mask in (scene.lungs, scene.patterns))
    return spec, Scene(scene.hu[kept].copy(), LungMask(lungs), PatternMap(labels))


def _acquired(scene: Scene, thin: PhantomSpec, protocol: Protocol, merged: int) -> Phantom:
    """Merge thin slices and expose them."""
    thick = scene.thickened(merged)
    noise_hu = max(8.0, protocol.noise_hu / merged**0.5)
    spec = replace(
        thin,
        shape=(len(thick.hu), *thin.shape[1:]),
        spacing_mm=(thin.spacing_mm[0] * merged, *thin.spacing_mm[1:]),
        protocol=replace(protocol, noise_hu=noise_hu),
    )
    return chest_ct.exposed(spec, thick.hu, thick.lungs, thick.patterns)
