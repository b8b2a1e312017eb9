"""``make bench``: receiving beside DCMTK's storescp, reading beside SimpleITK and pydicom, the stages of one series."""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench import reading, receiving
from worker.analysis import lungs, patterns, quantify
from worker.analysis.patterns import model
from worker.phantom.chest_ct import PhantomSpec, render
from worker.phantom.dicom_series import PhantomIdentity, write_series
from worker.reading import series
from worker.settings import WorkerSettings

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


def reading_beside_peers(folder: Path, home: Path, table: Table) -> None:
    """From files to HU, beside the faster of SimpleITK's series reader and plain pydicom, which check nothing."""
    for encoding in reading.ENCODINGS:
        series_folder = reading.write(sorted(folder.iterdir()), home / encoding, encoding)
        figures = {reader: reading.measured(reader, series_folder) for reader in reading.READERS}
        faster = min(("simpleitk", "pydicom"), key=lambda reader: figures[reader].seconds)
        ours, peer = figures["ours"], figures[faster]
        what = f"read {reading.SLICES} {encoding}, s, {faster}"
        add(table, what, ours.seconds, peer.seconds, peer.seconds / ours.seconds)
        add(table, f"read {reading.SLICES} {encoding}, peak MB, {faster}", ours.peak_mb, peer.peak_mb)


def stages(folder: Path, table: Table) -> None:
    """The rest of the way has no peer here: slices per second."""
    volume = series.read(sorted(folder.iterdir())).volume
    lung_mask = lungs.segment(volume)
    network = model.load(WorkerSettings().weights, "cpu")
    found = patterns.segment(volume, lung_mask, network)
    for name, work in (
        ("lungs", lambda: lungs.segment(volume)),
        ("patterns", lambda: patterns.segment(volume, lung_mask, network)),
        ("quantify", lambda: quantify.assess(volume, lung_mask, found)),
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
        reading_beside_peers(home / "ct", home, table)
        stages(home / "ct", table)
    console.print(received)
    console.print(table)


if __name__ == "__main__":
    main()
