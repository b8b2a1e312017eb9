"""How far kernel, noise and slice thickness move the result: the same patients, acquired in other ways."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from worker.analysis import patterns
from worker.analysis.patterns.model import PatternModel
from worker.analysis.records import RETICULATION
from worker.phantom import chest_ct
from worker.phantom.acquisition import Protocol
from worker.phantom.anatomy import CHEST_HEIGHT_MM
from worker.phantom.chest_ct import Phantom, PhantomSpec, Scene
from worker.training.evaluation import score

THIN_SLICES, THIN_MM = 220, CHEST_HEIGHT_MM / 220
USUAL = Protocol(kernel_fwhm_mm=1.0, noise_hu=25.0)
USUAL_MERGED = 2
EXTENT_PCT = 20.0


@dataclass(frozen=True)
class Setting:
    """One way to acquire: a protocol, how many thin slices make one, and of those which are kept (1: all)."""

    axis: str
    value: str
    protocol: Protocol = USUAL
    merged: int = USUAL_MERGED
    every: int = 1


SETTINGS = (
    *(Setting("kernel FWHM, mm", f"{mm:g}", replace(USUAL, kernel_fwhm_mm=mm)) for mm in (0.4, 0.7, 0.9, 1.2, 1.6)),
    Setting("kernel FWHM, mm", "0.6, edges enhanced", replace(USUAL, kernel_fwhm_mm=0.6, overshoot=0.6)),
    *(Setting("noise, HU", f"{hu:g}", replace(USUAL, noise_hu=hu)) for hu in (10.0, 25.0, 40.0, 60.0, 80.0)),
    *(Setting("slice thickness, mm", f"{THIN_MM * n:g}", merged=n) for n in (1, 2, 4)),
    Setting("slice thickness, mm", "1.25 every 10", merged=1, every=8),
)


@dataclass(frozen=True)
class SweepRow:
    """Means over the patients at one setting: Dice 0..1, extents in percent of lung, inside the true lungs."""

    axis: str
    value: str
    dice_lesion: float
    dice_reticulation: float
    extent_bias_points: float
    extent_error_points: float


def run(
    seeds: Sequence[int], model: PatternModel, report: Callable[[str, int, int], None], side: int = 512
) -> tuple[list[SweepRow], float]:
    """Acquire every patient in every way.

    Return the rows, and the mean change of extent between two scans alike but for their noise.
    """
    found: dict[Setting, list[tuple[float, float, float]]] = {setting: [] for setting in SETTINGS}
    changes = []
    for number, seed in enumerate(seeds):
        spec, scene = _thin(seed, side)
        for setting in SETTINGS:
            found[setting].append(_scored(_acquired(scene, spec, setting), model))
        first, again = (
            _scored(_acquired(scene, replace(spec, seed=s), Setting("", "")), model)[2] for s in (seed, seed + 1)
        )
        changes.append(abs(first - again))
        report("sweep", number + 1, len(seeds))
    return [_row(setting, np.array(values)) for setting, values in found.items()], float(np.mean(changes))


def _row(setting: Setting, values: np.ndarray) -> SweepRow:
    lesion, reticulation, error = values.mean(axis=0)
    absolute = np.abs(values[:, 2]).mean()
    return SweepRow(setting.axis, setting.value, *(round(float(v), 4) for v in (lesion, reticulation, error, absolute)))


def _thin(seed: int, side: int) -> tuple[PhantomSpec, Scene]:
    spec = replace(PhantomSpec.drawn(seed, (THIN_SLICES, side, side)), extent_pct=EXTENT_PCT)
    return spec, chest_ct.scene(spec)


def _acquired(scene: Scene, thin: PhantomSpec, setting: Setting) -> Phantom:
    """Merge thin slices, keep some of them, and expose them."""
    thick = scene.thickened(setting.merged, setting.every)
    spacing = (thin.spacing_mm[0] * setting.merged * setting.every, *thin.spacing_mm[1:])
    spec = replace(thin, shape=(len(thick.hu), *thin.shape[1:]), spacing_mm=spacing, protocol=setting.protocol)
    return chest_ct.exposed(spec, thick.hu, thick.lungs, thick.patterns)


def _scored(acquired: Phantom, model: PatternModel) -> tuple[float, float, float]:
    """Return Dice of lesion and reticulation, and the error of extent in points, inside the true lungs."""
    found, true = patterns.segment(acquired.volume, acquired.lungs, model).labels, acquired.patterns.labels
    lung = max(int(np.count_nonzero(acquired.lungs.labels)), 1)
    error = 100 * (np.count_nonzero(found) - np.count_nonzero(true)) / lung
    dices = (score.dice(found > 0, true > 0), score.dice(found == RETICULATION, true == RETICULATION))
    return dices[0] or 0.0, dices[1] or 0.0, error
