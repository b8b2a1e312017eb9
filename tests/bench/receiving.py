"""Receiving beside peers in one run: the node as ``scleroscan listen`` runs it, DCMTK's storescp, Orthanc."""

import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import isnan, nan
from pathlib import Path

import psutil
from pydicom import Dataset
from rich.table import Table

from db import schema
from tests.support import node_senders, servers, services
from tests.support.node_senders import ct_slice

ROUNDS = 5
SENDERS = 4
SLICES = 110
SIDE = 512
# Otherwise Nagle's algorithm and delayed acknowledgements stall DCMTK for 40 ms an image: no peer to compare with.
NO_DELAY = os.environ | {"TCP_NODELAY": "1"}


@dataclass(frozen=True)
class Receiver:
    """Something that images are sent to, and the process that tells what it costs."""

    name: str
    port: int
    pid: int


@dataclass(frozen=True)
class Figures:
    """Images/s, CPU milliseconds an image, and the most memory (proportional set size) in MB: medians of the rounds."""

    images_s: float
    cpu_ms: float
    memory_mb: float


def write_series(folder: Path) -> list[Path]:
    """Write a series of noise for each sender; 525 kB an image."""
    return [_write_one(folder / str(number), number) for number in range(1, SENDERS + 1)]


def _write_one(folder: Path, number: int) -> Path:
    node_senders.write(folder, [_noise(ct_slice(index, number, SIDE)) for index in range(SLICES)])
    return folder


def _noise(ds: Dataset) -> Dataset:
    ds.PixelData = os.urandom(SIDE * SIDE * 2)
    ds["PixelData"].VR = "OW"
    return ds


def compare(home: Path, table: Table) -> None:
    """Add a line for each receiver and number of associations; the rounds of all take turns."""
    folders = write_series(home / "noise")
    with _node(home) as ours, _storescp(home) as storescp, _orthanc(home) as orthanc:
        for count in (1, SENDERS):
            found: dict[str, list[Figures]] = {}
            for number in range(ROUNDS + 1):
                for receiver in (ours, storescp, orthanc):
                    figures = _measure(receiver, folders[:count])
                    # The first round warms up and does not count.
                    if number:
                        found.setdefault(receiver.name, []).append(figures)
            found["write, fsync, rename: no network"] = [_floor(home / "floor", folders[:count]) for _ in range(ROUNDS)]
            _add(table, count, {name: _median(figures) for name, figures in found.items()}, storescp.name)


def _median(figures: list[Figures]) -> Figures:
    return Figures(*(statistics.median(getattr(one, name) for one in figures) for name in Figures.__annotations__))


def _add(table: Table, count: int, medians: dict[str, Figures], peer: str) -> None:
    for name, found in medians.items():
        ratio = f"{found.images_s / medians[peer].images_s:.2f}"
        costs = ("–", "–") if isnan(found.cpu_ms) else (f"{found.cpu_ms:.2f}", f"{found.memory_mb:.0f}")
        table.add_row(str(count), name, f"{found.images_s:.0f}", ratio, *costs)
    table.add_section()


def _measure(receiver: Receiver, folders: list[Path]) -> Figures:
    before, begun = _cpu_s(receiver.pid), time.perf_counter()
    command = [services.program("storescu"), "-aet", "SCANNER", "-aec", "SCLEROSCAN", "+sd", "127.0.0.1"]
    senders = [
        subprocess.Popen([*command, str(receiver.port), str(folder)], env=NO_DELAY, stderr=subprocess.DEVNULL)
        for folder in folders
    ]
    most_mb = 0.0
    while any(sender.poll() is None for sender in senders):
        most_mb = max(most_mb, _memory_mb(receiver.pid))
        time.sleep(0.05)
    took_s = time.perf_counter() - begun
    assert [sender.returncode for sender in senders] == [0] * len(senders), receiver.name
    images = SLICES * len(folders)
    return Figures(images / took_s, (_cpu_s(receiver.pid) - before) * 1000 / images, most_mb)


def _family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def _cpu_s(pid: int) -> float:
    """CPU time of a process with all its children, those that have ended included."""
    total = 0.0
    for process in _family(pid):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _memory_mb(pid: int) -> float:
    total = 0
    for process in _family(pid):
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
    return Figures(SLICES * len(folders) / (time.perf_counter() - begun), nan, nan)


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
    yield Receiver("scleroscan: durable, registered", settings.port, server.process.pid)
    server.stop()
    scheduler.stop()


@contextmanager
def _storescp(home: Path) -> Iterator[Receiver]:
    port = services.free_port()
    (home / "storescp").mkdir()
    command = [services.program("storescp"), "--fork", "-pdu", "131072", "-od", str(home / "storescp"), str(port)]
    with services.running(command, home / "storescp.log", env=NO_DELAY) as process:
        services.wait_until(lambda: services.port_answers(port), what="storescp")
        yield Receiver("storescp: not durable", port, process.pid)


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
        yield Receiver("Orthanc: not durable, indexed", running.dicom_port, pid or 0)
