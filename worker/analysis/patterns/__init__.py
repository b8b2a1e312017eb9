"""The pattern segmentation: network, weights, and what runs them."""

from worker.analysis.patterns.segmentation import (
    MARGIN_MM,
    WINDOW_HU,
    classified,
    probabilities,
    probabilities_alone,
    segment,
    shows_lines,
    windowed,
)

__all__ = [
    "MARGIN_MM",
    "WINDOW_HU",
    "classified",
    "probabilities",
    "probabilities_alone",
    "segment",
    "shows_lines",
    "windowed",
]
