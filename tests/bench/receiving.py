"""Receiving beside peers in one run: the node as ``scleroscan listen`` runs it, DCMTK's storescp, Orthanc."""

import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

import psutil
from pydicom import Dataset

from db import schema
from tests.bench.figures import Row, processor_s
from tests.support import node_senders, servers, services
from tests.support.node_senders import ct_slice

SENDERS = 4
SIDE = 512
# Processes rest that take less than this share of a core for so long.
REST_S, RESTING_SHARE, LONGEST_REST_S = 1.0, 0.05, 30.0
# Otherwise Nagle's algorithm and delayed acknowledgements stall DCMTK for 40 ms an image: no peer to compare with.
NO_DELAY = os.environ | {"TCP_NODELAY": "1"}


@dataclass(frozen=True)
class Receiver:
    """Something that images are sent to, and the processes that tell what it costs."""

    port: int
    pids: tuple[int, ...]


@dataclass(frozen=True)
class Figures:
    """Images/s, CPU milliseconds an image, memory afterwards (proportional set size) in MB: medians."""

    images_s: float
    cpu_ms: float | None = None
    memory_mb: float | None = None


def write_series(folder: Path, slices: int) -> list[Path]:
    """Write a series of noise for each sender; 525 kB an image."""
    return [_write_one(folder / str(number), number, slices) for number in range(1, SENDERS + 1)]


def _write_one(folder: Path, number: int, slices: int) -> Path:
    node_senders.write(folder, [_noise(ct_slice(index, number, SIDE)) for index in range(slices)])
    return folder


def _noise(ds: Dataset) -> Dataset:
    ds.PixelData = os.urandom(SIDE * SIDE * 2)
    ds["PixelData"].VR = "OW"
    return ds


def compare(home: Path, rounds: int, slices: int) -> Iterator[Row]:
    """Yield a row for each receiver and number of associations; the rounds of all take turns.

    Each receiver begins each round anew, in an empty folder: to write over files that are there is cheaper.
    """
    folders = write_series(home / "noise", slices)
    first = _write_one(home / "first", SENDERS + 1, 1)
    for count in (1, SENDERS):
        found: dict[str, list[Figures]] = {}
        for _ in range(rounds):
            for name, started in RECEIVERS.items():
                figures = _in_a_fresh_folder(home / "round", started, first, folders[:count])
                found.setdefault(name, []).append(figures)
            found.setdefault(FLOOR, []).append(_floor(home / "floor", folders[:count]))
        yield from _rows(count, {name: _median(figures) for name, figures in found.items()})


def _in_a_fresh_folder(folder: Path, started: "Started", first: Path, folders: list[Path]) -> Figures:
    folder.mkdir()
    try:
        with started(folder) as receiver:
            # What is done once, at the first image, does not count.
            _send(receiver, [first])
            _rested(receiver)
            return _measure(receiver, folders)
    finally:
        shutil.rmtree(folder)


def _median(figures: list[Figures]) -> Figures:
    columns = ([value for value in column if value is not None] for column in zip(*map(astuple, figures), strict=True))
    return Figures(*(statistics.median(column) if column else None for column in columns))


def _rows(count: int, medians: dict[str, Figures]) -> Iterator[Row]:
    for name, found in medians.items():
        yield {
            "associations": str(count),
            "receiver": name,
            "images/s": found.images_s,
            "to storescp": found.images_s / medians[PEER].images_s,
            "to the floor": found.images_s / medians[FLOOR].images_s,
            "CPU, ms/image": found.cpu_ms,
            "memory, MB": found.memory_mb,
        }


def _send(receiver: Receiver, folders: list[Path]) -> None:
    command = [services.program("storescu"), "-aet", "SCANNER", "-aec", "SCLEROSCAN", "+sd", "127.0.0.1"]
    senders = [
        subprocess.Popen([*command, str(receiver.port), str(folder)], env=NO_DELAY, stderr=subprocess.DEVNULL)
        for folder in folders
    ]
    assert [sender.wait() for sender in senders] == [0] * len(senders)


def _measure(receiver: Receiver, folders: list[Path]) -> Figures:
    """Send, and count what the receiver does afterwards, such as registering, to its processor time."""
    before, begun = _cpu_s(receiver.pids), time.perf_counter()
    _send(receiver, folders)
    took_s = time.perf_counter() - begun
    cpu_s = _rested(receiver) - before
    images = sum(len(list(folder.iterdir())) for folder in folders)
    # Not while it works: the kernel stops a process to count its pages.
    return Figures(images / took_s, cpu_s * 1000 / images, _memory_mb(receiver.pids))


def _rested(receiver: Receiver) -> float:
    """Wait until the receiver does next to nothing, and return the CPU time that it has taken so far."""
    last, deadline = _cpu_s(receiver.pids), time.monotonic() + LONGEST_REST_S
    while time.monotonic() < deadline:
        time.sleep(REST_S)
        now = _cpu_s(receiver.pids)
        if now - last < REST_S * RESTING_SHARE:
            break
        last = now
    return last


def _family(pids: tuple[int, ...]) -> list[psutil.Process]:
    parents = [psutil.Process(pid) for pid in pids]
    return parents + [child for parent in parents for child in parent.children(recursive=True)]


def _cpu_s(pids: tuple[int, ...]) -> float:
    return sum(map(processor_s, pids))


def _memory_mb(pids: tuple[int, ...]) -> float:
    total = 0
    for process in _family(pids):
        try:
            total += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total / 1e6


def _floor(folder: Path, folders: list[Path]) -> Figures:
    """The same images made durable by bare system calls, one process an association."""
    begun, children = time.perf_counter(), []
    for number, source in enumerate(folders):
        target = folder / f"{time.monotonic_ns()}-{number}"
        child = os.fork()
        if not child:
            _write_durably(source, target)
            os._exit(0)
        children.append(child)
    assert all(os.waitpid(child, 0)[1] == 0 for child in children)
    took_s = time.perf_counter() - begun
    shutil.rmtree(folder)
    return Figures(sum(len(list(source.iterdir())) for source in folders) / took_s)


def _write_durably(source: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for path in source.iterdir():
        content, part = path.read_bytes(), target / "part"
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(descriptor, content)
        os.fsync(descriptor)
        os.close(descriptor)
        part.rename(target / path.name)
        folder = os.open(target, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


@contextmanager
def _node(home: Path) -> Iterator[Receiver]:
    url = f"sqlite:///{home / 'node.db'}"
    schema.upgrade(url)
    settings = servers.node_settings(home)
    server, scheduler = servers.listener(home, settings), servers.scheduler(home, settings, url, "memory://")
    server.start()
    scheduler.start()
    assert server.process is not None
    assert scheduler.process is not None
    yield Receiver(settings.port, (server.process.pid, scheduler.process.pid))
    server.stop()
    scheduler.stop()


@contextmanager
def _storescp(home: Path) -> Iterator[Receiver]:
    port = services.free_port()
    (home / "storescp").mkdir()
    command = [services.program("storescp"), "--fork", "-pdu", "131072", "-od", str(home / "storescp"), str(port)]
    with services.running(command, home / "storescp.log", env=NO_DELAY) as process:
        services.wait_until(lambda: services.port_answers(port), what="storescp")
        yield Receiver(port, (process.pid,))


@contextmanager
def _orthanc(home: Path) -> Iterator[Receiver]:
    # It receives by DCMTK's library, which looks for this.
    os.environ.update(NO_DELAY)
    with services.orthanc(home / "orthanc") as running:
        pid = next(
            connection.pid
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == running.dicom_port
        )
        yield Receiver(running.dicom_port, (pid or 0,))


Started = Callable[[Path], AbstractContextManager[Receiver]]
PEER, FLOOR = "storescp: not durable", "write, fsync, rename: no network"
RECEIVERS: dict[str, Started] = {
    "scleroscan: durable, registered": _node,
    PEER: _storescp,
    "Orthanc: not durable, indexed": _orthanc,
}
