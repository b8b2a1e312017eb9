"""``make fuzz``: headers, PDUs, multipart bodies and compressed frames as no honest peer makes them.

Printed is what became of the node: processes that stopped, images of sound series that were lost, the most memory
that any process held, the length of the log, and its control characters. The same seed makes the same bytes.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.fuzz import run
from tests.fuzz.run import Figures

COLUMNS = ("kind", "shots", "sound series", "stopped", "lost", "500s", "memory, MB", "log, kB", "control", "s")
COUNTS = {"headers": 10_000, "PDUs": 10_000, "multipart": 10_000, run.FRAMES: 5_000}


def main() -> int:
    """Run, print, and fail where something stopped or was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    for kind, count in COUNTS.items():
        parser.add_argument(f"--{kind.lower()}", type=int, default=count, dest=kind)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    table, clean, came = Table(*COLUMNS), True, ""
    for figures, seconds in _runs({kind: getattr(asked, kind) for kind in COUNTS}, asked.seed):
        table.add_row(*_row(figures), f"{seconds:.0f}")
        clean = clean and figures.is_clean
        outcomes = ", ".join(f"{outcome} {count}" for outcome, count in figures.outcomes.most_common())
        came += f"{figures.kind}: {outcomes}; slowest read {figures.slowest_read_s:.2f} s" if outcomes else ""
    console = Console(width=120)
    console.print(table)
    console.print(came)
    return 0 if clean else 1


def _runs(counts: dict[str, int], seed: int) -> Iterator[tuple[Figures, float]]:
    for kind, count in ((kind, count) for kind, count in counts.items() if count):
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="scleroscan-fuzz-") as name:
            yield run.run(Path(name), kind, count, seed), time.monotonic() - begun


def _row(figures: Figures) -> tuple[str, ...]:
    numbers = (figures.shots, figures.sound, figures.stopped, figures.lost, figures.server_errors)
    sizes = f"{figures.memory_mb:.0f}", f"{figures.log_kb:.0f}", str(figures.control_characters)
    return figures.kind, *map(str, numbers), *sizes


if __name__ == "__main__":
    sys.exit(main())
