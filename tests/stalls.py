"""``make stalls``: does a sender ever wait in vain for the answer to an image? Ours and DCMTK's, into ours and DCMTK's.

Many associations one after another, with many small images each: what loses one answer in ten thousand shows here.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from rich.console import Console
from rich.table import Table

from db.address import ApplicationEntity
from tests.soak import Node
from tests.support import node_senders, services
from tests.support.node_senders import ct_slice
from worker.delivery import association, dicom
from worker.errors import PeerUnreachable

STALLED_S = 20
# Images of 1, 3 and 10 kB.
SIDES = (8, 32, 70)
MEMORY = Path("/dev/shm")  # noqa: S108 - nothing is kept: the disk would only cost time


@dataclass(frozen=True)
class Figures:
    """What became of the associations of one way."""

    way: str
    associations: int
    stalled: int
    seconds: float


def ours_stalls(port: int, folder: Path) -> bool:
    """Send a folder over one association by our sender; whether an image was not answered in time."""
    begun = time.monotonic()
    try:
        # Its own patience is longer.
        with mock.patch.object(association, "ANSWER_TIMEOUT_S", STALLED_S):
            dicom.store(sorted(folder.iterdir()), ApplicationEntity("SCLEROSCAN", "127.0.0.1", port), "SCANNER")
    except PeerUnreachable:
        if time.monotonic() - begun < STALLED_S:
            raise
        return True
    return False


def storescu_stalls(port: int, folder: Path) -> bool:
    """Send a folder over one association by DCMTK's storescu; whether an image was not answered in time."""
    begun = time.monotonic()
    sender = node_senders.storescu(port, folder, "-td", str(STALLED_S))
    said, _ = sender.communicate(timeout=600)
    assert sender.returncode == 0 or time.monotonic() - begun >= STALLED_S, said
    return sender.returncode != 0


@contextmanager
def _listener(folder: Path) -> Iterator[int]:
    node = Node(folder / "spool")
    try:
        yield node.port
    finally:
        node.stop()


@contextmanager
def _storescp(folder: Path) -> Iterator[int]:
    port = services.free_port()
    command = [services.program("storescp"), "--ignore", "-aet", "SCLEROSCAN", str(port)]
    with services.running(command, folder / "storescp.log", env=os.environ | {"TCP_NODELAY": "1"}):
        services.wait_until(lambda: services.port_answers(port), what="storescp")
        yield port


WAYS: dict[str, tuple[Callable[[int, Path], bool], Callable[[Path], AbstractContextManager[int]]]] = {
    "ours → ours": (ours_stalls, _listener),
    "DCMTK → ours": (storescu_stalls, _listener),
    "ours → DCMTK": (ours_stalls, _storescp),
}


def run(folder: Path, associations: int, images: int, told: Callable[[str], None] = lambda _: None) -> list[Figures]:
    """Send so many images over each of so many associations, each way."""
    node_senders.write(
        folder / "images", [ct_slice(number, side=SIDES[number % len(SIDES)]) for number in range(images)]
    )
    return [_run(way, folder, associations, told) for way in WAYS]


def _run(way: str, folder: Path, associations: int, told: Callable[[str], None]) -> Figures:
    stalls, receiver = WAYS[way]
    begun, stalled = time.monotonic(), 0
    with receiver(folder) as port:
        for number in range(1, associations + 1):
            stalled += stalls(port, folder / "images")
            if number % 50 == 0:
                told(f"{way}: {number} associations, {stalled} stalled, {time.monotonic() - begun:.0f} s")
    return Figures(way, associations, stalled, time.monotonic() - begun)


def main() -> int:
    """Run, print, and fail where a sender waited in vain."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--associations", type=int, default=1000)
    parser.add_argument("--images", type=int, default=150)
    asked = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory(prefix="scleroscan-stalls-", dir=MEMORY if MEMORY.is_dir() else None) as name:
        rows = run(Path(name), asked.associations, asked.images, console.print)
    table = Table("way", "associations", "images", "stalled", "seconds", "images/s")
    for row in rows:
        sent = row.associations * asked.images
        table.add_row(
            row.way,
            str(row.associations),
            str(sent),
            str(row.stalled),
            f"{row.seconds:.0f}",
            f"{sent / row.seconds:.0f}",
        )
    console.print(table)
    return 1 if any(row.stalled for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
