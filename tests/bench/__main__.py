"""``make bench``: receiving beside DCMTK's storescp, reading beside SimpleITK, and the stages of one series."""

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import SimpleITK as sitk
from rich.console import Console
from rich.table import Table

from dicom_node.handlers import Receiver
from dicom_node.listener import CT_CLASSES, Address, Listener
from dicom_node.spool import Spool
from tests import services
from worker.analysis import lungs, model, patterns, quantify
from worker.reading import series
from worker.settings import WorkerSettings
from worker.training.phantom import PhantomSpec, render
from worker.training.series import PhantomIdentity, write_series

ROUNDS = 5
SLICES = 110
NO_DELAY = os.environ | {"TCP_NODELAY": "1"}


def median_s(work: Callable[[], object]) -> float:
    """Return the median of the wall times of a few runs, after one that does not count."""
    work()
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def send(folder: Path, port: int, associations: int) -> None:
    """Send a folder over several associations at once."""
    command = [services.program("storescu"), "-aec", "ANY", "+sd", "127.0.0.1", str(port), str(folder)]
    running = [subprocess.Popen(command, env=NO_DELAY) for _ in range(associations)]
    assert [process.wait() for process in running] == [0] * associations


def receiving(folder: Path, home: Path, table: Table) -> None:
    """Ours makes every image durable before it answers; the peer does not."""
    with ExitStack() as stack:
        spool = Spool(home / "spool")
        spool.prepare()
        ours = stack.enter_context(Listener(Address("ANY", "127.0.0.1", 0), Receiver(spool).handlers(), CT_CLASSES))
        port = services.free_port()
        (home / "storescp").mkdir()
        command = [services.program("storescp"), "--fork", "-od", str(home / "storescp"), str(port)]
        stack.enter_context(services.running(command, home / "storescp.log", env=NO_DELAY))
        services.wait_until(lambda: services.port_answers(port), what="storescp")
        for count in (1, 4):
            rates = [
                SLICES * count / median_s(lambda p=p, count=count: send(folder, p, count)) for p in (ours.port, port)
            ]
            add(table, f"receive, {count} association(s), images/s, storescp", rates[0], rates[1], rates[0] / rates[1])


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
    with tempfile.TemporaryDirectory(prefix="scleroscan-bench-") as name, console.status("measuring"):
        home = Path(name)
        write_series(render(PhantomSpec(seed=1, shape=(SLICES, 512, 512))), home / "ct", PhantomIdentity())
        receiving(home / "ct", home, table)
        reading(home / "ct", table)
        stages(home / "ct", table)
    console.print(table)


if __name__ == "__main__":
    main()
