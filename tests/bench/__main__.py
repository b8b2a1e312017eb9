"""``make bench``: receiving beside DCMTK's storescp, reading beside SimpleITK, and the stages of one series."""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import SimpleITK as sitk
from rich.console import Console
from rich.table import Table

from tests.bench import receiving
from worker.analysis import lungs, model, patterns, quantify
from worker.reading import series
from worker.settings import WorkerSettings
from worker.training.phantom import PhantomSpec, render
from worker.training.series import PhantomIdentity, write_series

ROUNDS = 5
SLICES = 110


def median_s(work: Callable[[], object]) -> float:
    """Return the median of the wall times of a few runs, after one that does not count."""
    work()
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def reading(folder: Path, table: Table) -> None:
    """From files to HU."""
    paths = sorted(folder.iterdir())
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(path) for path in paths])
    rates = [SLICES / median_s(work) for work in (lambda: series.read(paths), reader.Execute)]
    add(table, "read, slices/s, SimpleITK (which checks nothing)", rates[0], rates[1], rates[0] / rates[1])


def stages(folder: Path, table: Table) -> None:
    """The rest of the way has no peer here: slices per second."""
    volume = series.read(sorted(folder.iterdir())).volume
    outline = lungs.segment(volume)
    network = model.load(WorkerSettings().weights, "cpu")
    found = patterns.segment(volume, outline, network)
    for name, work in (
        ("lungs", lambda: lungs.segment(volume)),
        ("patterns", lambda: patterns.segment(volume, outline, network)),
        ("quantify", lambda: quantify.assess(volume, outline, found)),
    ):
        add(table, f"{name}, slices/s", SLICES / median_s(work))


def add(table: Table, what: str, *figures: float) -> None:
    """Add a line of figures."""
    table.add_row(what, *(f"{figure:.2f}" if figure < 10 else f"{figure:.0f}" for figure in figures))


def main() -> None:
    """Run all and print one table."""
    console = Console()
    table = Table("what", "ours", "peer", "ratio", title=f"Medians of {ROUNDS} runs, {SLICES} slices of 512 × 512")
    received = Table(
        *("associations", "receiver", "images/s", "to storescp", "CPU ms/image", "memory, MB"),
        title=f"Receiving {receiving.SLICES} images of 525 kB an association by DCMTK's storescu, medians of {ROUNDS}",
    )
    with tempfile.TemporaryDirectory(prefix="scleroscan-bench-") as name, console.status("measuring"):
        home = Path(name)
        write_series(render(PhantomSpec(seed=1, shape=(SLICES, 512, 512))), home / "ct", PhantomIdentity())
        receiving.compare(home, received)
        reading(home / "ct", table)
        stages(home / "ct", table)
    console.print(received)
    console.print(table)


if __name__ == "__main__":
    main()
