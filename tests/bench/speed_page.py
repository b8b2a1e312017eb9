"""Writes what was measured of the way through as a page: a table, a plot, and the figures as JSON."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from tests.bench.figures import Row, machine, markdown, shown
from tests.bench.way import STAGES

HEAD = """# Speed

Written by `make bench PART=way`; the figures are in [speed.json](speed.json). From the moment a series is complete to
its objects stored in Orthanc on the same machine: each series in a process of its own, which has loaded its model and
taken one series through before, as a worker has. Queue and database add milliseconds. `all` is the sum of the stages,
`load` what came before them, once. Memory is the peak of the process. One round: where the load average shows other
work, processor seconds count and the times a clock shows do not.

"""


def write(folder: Path, rows: Sequence[Row]) -> None:
    """Write ``speed.md``, ``speed.json`` and ``speed.png`` into a folder."""
    found = machine()
    (folder / "speed.json").write_text(json.dumps({"machine": found, "rows": rows}, indent=1) + "\n")
    facts = ", ".join(f"{name} {shown(value)}" for name, value in found.items())
    (folder / "speed.md").write_text(
        HEAD + f"{facts}.\n\n![Processor seconds by stage, and memory](speed.png)\n\n{markdown(rows)}\n"
    )
    _plot(rows).savefig(folder / "speed.png", dpi=110)


def _number(row: Row, name: str) -> float:
    value = row[name]
    assert isinstance(value, float | int)
    return float(value)


def _plot(rows: Sequence[Row]) -> Figure:
    """Draw processor seconds by stage, and the peak of memory, over the number of slices."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    times, memory = figure.subplots(1, 2)
    used = sorted((row for row in rows if row[""] == "processor s"), key=lambda row: _number(row, "slices"))
    names = [f"{row['series']}\n{shown(row['slices'])}" for row in used]
    below = [0.0] * len(used)
    for stage in STAGES:
        heights = [_number(row, stage) for row in used]
        times.bar(names, heights, bottom=below, label=stage)
        below = [a + b for a, b in zip(below, heights, strict=True)]
    times.set_ylabel("processor seconds")
    times.tick_params("x", labelrotation=60, labelsize=7)
    times.legend(fontsize=8)
    peaks: list[Mapping[str, object]] = [row for row in rows if row["peak, MB"] is not None]
    memory.plot([row["slices"] for row in peaks], [row["peak, MB"] for row in peaks], "o")
    memory.set(xlabel="slices", ylabel="peak of memory, MB", ylim=(0, None))
    return figure
