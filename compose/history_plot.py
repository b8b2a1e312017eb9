"""Draws the extents of one patient over time."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from matplotlib.figure import Figure

from worker.analysis.records import Region
from worker.analysis.serial import Timepoint

# The set of Okabe and Ito, on white; markers differ too.
LINES = {
    Region.TOTAL: ("disease", "#000000", "o"),
    Region.GROUND_GLASS: ("ground glass", "#E69F00", "s"),
    Region.RETICULATION: ("reticulation", "#D55E00", "^"),
    Region.CONSOLIDATION: ("consolidation", "#56B4E9", "D"),
}


def write(points: Sequence[Timepoint], path: Path) -> None:
    """Write a PNG: a line for each finding, its bounds as bars; exams without a date are left out."""
    dated = [point for point in points if len(point.exam.acquired) >= 8]
    figure = Figure(figsize=(8, 4.5), dpi=128, layout="constrained")
    axes = figure.subplots()
    for region, (name, colour, marker) in LINES.items():
        seen = [point for point in dated if region in point.extents]
        at = [datetime.strptime(point.exam.acquired[:8], "%Y%m%d") for point in seen]
        extents = [point.extents[region] for point in seen]
        values = [extent.value for extent in extents]
        below = [0.0 if e.lower is None else max(0.0, e.value - e.lower) for e in extents]
        above = [0.0 if e.upper is None else max(0.0, e.upper - e.value) for e in extents]
        axes.errorbar(at, values, [below, above], label=name, color=colour, marker=marker, capsize=4)  # type: ignore[arg-type]
    axes.set_ylabel("extent, % of both lungs")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", frameon=False)
    axes.set_title("Research software: not a medical device", fontsize=9, color="#444444")
    figure.autofmt_xdate()
    figure.savefig(path, format="png")
