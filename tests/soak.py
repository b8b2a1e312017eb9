"""``make soak``: does a receiver keep memory, threads, descriptors or files over many images, associations, connects?

One process receives in the three ways that wear on it; after each, what it holds is printed beside what it held before.
"""

import argparse
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from dicom_node.scp.handlers import Receiver
from dicom_node.scp.listener import Address, Listener
from dicom_node.spool.folder import Spool
from dicom_node.spool.image import CT_CLASSES
from tests.support import node_senders
from tests.support.node_senders import ct_slice

# What the allocator of C keeps is no leak, but it comes in steps.
MEMORY_STEP_MB = 12.0
SETTLING_S = 60.0


@dataclass(frozen=True)
class Held:
    """What a process holds: unshared memory in MB, threads, descriptors, files half written or locked for nobody."""

    memory_mb: float
    threads: int
    descriptors: int
    files: int


class Node:
    """A receiver in a process of its own.

    Parameters
    ----------
    spool
        Its folder.
    """

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        command = [sys.executable, "-m", "tests.soak", "--receive", str(spool)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def held(self) -> Held:
        """Return what it holds now."""
        process = psutil.Process(self._process.pid)
        partial = len(list((self._spool / "incoming").iterdir()))
        return Held(process.memory_full_info().uss / 1e6, process.num_threads(), process.num_fds(), partial)

    def settled(self, before: Held) -> Held:
        """Return what it holds once it holds no more threads and descriptors than before, or time is up."""
        deadline = time.monotonic() + SETTLING_S
        while not _is_flat(before, held := self.held()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return held

    def stop(self) -> None:
        """End it."""
        self._process.communicate(timeout=60)


def _is_flat(before: Held, after: Held) -> bool:
    return after.threads <= before.threads and after.descriptors <= before.descriptors and not after.files


def is_clean(before: Held, after: Held) -> bool:
    """Whether nothing was kept."""
    return _is_flat(before, after) and after.memory_mb - before.memory_mb < MEMORY_STEP_MB


def images(node: Node, count: int) -> None:
    """Send so many images over one association."""
    with _one_image(side=128) as folder:
        node_senders.storescu_succeeds(node.port, folder, "--repeat", str(count))


def associations(node: Node, count: int) -> None:
    """Open so many associations one after another, with an image each."""
    with _one_image(side=8) as folder:
        for _ in range(count):
            node_senders.storescu_succeeds(node.port, folder)


@contextmanager
def _one_image(side: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="scleroscan-soak-") as name:
        node_senders.write(Path(name), [ct_slice(0, side=side)])
        yield Path(name)


def connects(node: Node, count: int) -> None:
    """Connect so many times and say nothing, as health checks do."""
    for _ in range(count):
        socket.create_connection(("127.0.0.1", node.port)).close()


def run(folder: Path, counts: tuple[int, int, int]) -> list[tuple[str, int, Held, Held]]:
    """Wear on one receiver and return rows (what, how often, held before, held after)."""
    node, rows = Node(folder / "spool"), []
    try:
        for work, count in zip((images, associations, connects), counts, strict=True):
            # So that what is loaded or grown once does not count.
            work(node, min(count, 50))
            time.sleep(1)
            before = node.held()
            work(node, count)
            rows.append((work.__name__, count, before, node.settled(before)))
    finally:
        node.stop()
    return rows


def receive(folder: Path) -> None:
    """Be the receiver until standard input ends."""
    spool = Spool(folder)
    spool.prepare()
    with Listener(Address("SCLEROSCAN", "127.0.0.1", 0), Receiver(spool).handlers(), CT_CLASSES) as listener:
        print(listener.port, flush=True)
        sys.stdin.read()


def main() -> int:
    """Run, print, and fail where something was kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--receive", type=Path)
    for name, count in (("images", 10_000), ("associations", 1_000), ("connects", 10_000)):
        parser.add_argument(f"--{name}", type=int, default=count)
    asked = parser.parse_args()
    if asked.receive:
        receive(asked.receive)
        return 0
    with tempfile.TemporaryDirectory(prefix="scleroscan-soak-") as name:
        rows = run(Path(name), (asked.images, asked.associations, asked.connects))
    table = Table("what", "count", "memory, MB", "threads", "descriptors", "partial files", title="before → after")
    for what, count, before, after in rows:
        pairs = [f"{getattr(before, name):.3g} → {getattr(after, name):.3g}" for name in Held.__annotations__]
        table.add_row(what, str(count), *pairs)
    Console().print(table)
    return 0 if all(is_clean(before, after) for _, _, before, after in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
