"""Between which extents the truth lies: thresholds moved to either side, as far as phantoms said that it takes.

The bounds of an extent are what other thresholds would have given, and a margin for what no threshold shows: an error
of the lung mask, disease that the network is sure not to see. How far the thresholds move and how wide the margin is
are calibrated with the model.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from worker.analysis.patterns import network
from worker.analysis.patterns.model import PatternModel
from worker.analysis.records import Bounds, Region

NARROW, WIDE = 0, 1
REGIONS = {
    network.LESION: Region.TOTAL,
    network.RETICULATION: Region.RETICULATION,
    network.CONSOLIDATION: Region.CONSOLIDATION,
}


@dataclass
class Counts:
    """Voxels of the lungs above the narrow and the wide threshold of each output: int64 (outputs, 2)."""

    model: PatternModel
    lung: int = 0
    above: NDArray[np.int64] = field(default_factory=lambda: np.zeros((len(REGIONS), 2), np.int64))

    def add(self, values: NDArray[np.float32]) -> None:
        """Count the lung voxels of one slice: probabilities (outputs, voxels)."""
        self.lung += values.shape[1]
        lesion = values[network.LESION] > self.model.thresholds[network.LESION]
        for output in REGIONS:
            within = np.True_ if output == network.LESION else lesion
            for bound, limit in enumerate(limits(self.model.thresholds[output], self.model.spreads[output])):
                self.above[output, bound] += np.count_nonzero((values[output] > limit) & within)

    def bounds(self) -> tuple[Bounds, ...]:
        """Return the bounds of every region; that of ground glass is what the others leave."""
        if not self.lung:
            return ()
        shares = self.above / self.lung
        margins = np.array(self.model.margins)
        lower = np.clip(shares[:, NARROW] - margins, 0, 1)
        upper = np.clip(shares[:, WIDE] + margins, 0, 1)
        known = tuple(Bounds(region, float(lower[n]), float(upper[n])) for n, region in REGIONS.items())
        patterns = [network.RETICULATION, network.CONSOLIDATION]
        haze = (
            max(0.0, float(lower[network.LESION] - upper[patterns].sum())),
            max(0.0, float(upper[network.LESION] - lower[patterns].sum())),
        )
        return (*known, Bounds(Region.GROUND_GLASS, *haze))


def limits(threshold: float, spread: float) -> tuple[float, float]:
    """Return the thresholds above and below by so many logits: fewer and more voxels lie above them."""
    inside = min(max(threshold, 1e-6), 1 - 1e-6)
    logit = float(np.log(inside / (1 - inside)))
    above, below = (1 / (1 + np.exp(-(logit + sign * spread))) for sign in (1, -1))
    return float(above), float(below)
