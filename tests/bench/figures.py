"""Figures of a benchmark: for people a table that is never cut off, for machines JSON."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

# A pipe has no width, and rich takes it for 80 columns.
WIDTH_OF_NO_TERMINAL = 200
Row = Mapping[str, str | float | None]


def own_peak_mb() -> float:
    """Return the most memory that this process held since it began, MB.

    ``ru_maxrss`` would not do: it is inherited over fork and exec, so a small child shows what its parent once held.
    """
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024 / 1e6


def processor_s(pid: int) -> float:
    """Return the processor seconds of a process and all its children, those that have ended included."""
    total = 0.0
    parent = psutil.Process(pid)
    for process in (parent, *parent.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def print_table(title: str, rows: Sequence[Row]) -> None:
    """Print rows that have the same names."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH_OF_NO_TERMINAL)
    table = Table(*rows[0], title=title)
    for row in rows:
        table.add_row(*(shown(value) for value in row.values()))
    console.print(table)


def shown(value: str | float | None) -> str:
    """Return a value as people read it."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}"


def print_json(found: Mapping[str, Sequence[Row]]) -> None:
    """Print all figures as one object."""
    print(json.dumps(found, indent=1))


def machine() -> dict[str, str | float]:
    """Return on what was measured, and how busy it was."""
    return {
        "at": f"{datetime.now(UTC):%Y-%m-%d}",
        "cores": len(os.sched_getaffinity(0)),
        "load average": os.getloadavg()[0],
        "machine": platform.machine(),
    }


def markdown(rows: Sequence[Row]) -> str:
    """Return rows that have the same names as a table of a page."""
    columns = list(rows[0])
    lines = [columns, ["---"] * len(columns), *([shown(value) for value in row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
