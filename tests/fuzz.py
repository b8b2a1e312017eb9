"""``make fuzz``: headers, PDUs and multipart bodies as no honest peer makes them, a real sender behind each hundred.

Printed is what became of the node: processes that stopped, images of the real sender that were lost, the most memory
that any process held, the length of the log, and its control characters. The same seed makes the same bytes.
"""

import argparse
import json
import random
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table
from sqlalchemy import select

from db import schema
from db.engine import open_database
from db.tables import Instance
from tests.support import REPOSITORY, malformed, servers, services
from tests.support.hostile import with_values
from tests.support.node_senders import answer_to, association, ct_slice, encoded, header, send, series_uid

TOKEN = "a-token-of-some-length"  # noqa: S105  of this run alone
MOST_MEMORY_MB = 1000
BEHIND_EACH, IMAGES = 100, 4
KEYWORDS = (
    "SOPInstanceUID",
    "StudyInstanceUID",
    "PatientID",
    "PatientName",
    "StudyDate",
    "Rows",
    "ImagePositionPatient",
)
VALUES = (b"", b"inf ", b"nan ", b"1e999 ", b"\0" * 64, b"\xff" * 9, b"\x1b]0;owned\x07\n", b"9" * 60_000, b"../../x ")
SERVER_ERROR = b"HTTP/1.1 500"


@dataclass(frozen=True)
class Figures:
    """What became of the node under one kind of bytes."""

    kind: str
    shots: int
    stopped: int
    lost: int
    server_errors: int
    memory_mb: float
    log_kb: float
    control_characters: int

    @property
    def is_clean(self) -> bool:
        """Whether nothing stopped, nothing was lost, and memory and log stayed within bounds."""
        failures = self.stopped + self.lost + self.server_errors + self.control_characters
        return not failures and self.memory_mb < MOST_MEMORY_MB


class Node:
    """Listener, scheduler and STOW-RS as processes on one spool."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.log, self.url = folder / "node.log", f"sqlite:///{folder / 'scleroscan.db'}"
        schema.upgrade(self.url)
        self.settings = servers.node_settings(folder, web_port=services.free_port(), web_token=TOKEN)
        self._processes = [self._start(part, stack) for part in ("listener", "scheduler", "web")]
        for port in (self.settings.port, self.settings.web_port or 0):
            services.wait_until(partial(services.port_answers, port), 60, "the node")
        self._begun = {one.pid for one in self._family()}
        self.memory_mb, self.server_errors = 0.0, 0

    def _start(self, part: str, stack: ExitStack) -> Any:
        # Printed settings hide the token.
        given = self.settings.model_dump(mode="json") | {"web_token": TOKEN}
        words = [part, self.url, "memory://", json.dumps(given)]
        command = [sys.executable, "-m", "tests.support.node_process", *words]
        return stack.enter_context(services.running(command, self.log, cwd=REPOSITORY))

    def _family(self) -> list[psutil.Process]:
        own = [psutil.Process(one.pid) for one in self._processes]
        return [*own, *(child for one in own for child in one.children(recursive=True))]

    def look(self) -> None:
        """Note the memory of every process."""
        for one in self._family():
            with suppress(psutil.Error):
                self.memory_mb = max(self.memory_mb, one.memory_info().rss / 1e6)

    def stopped(self) -> int:
        """Return how many processes of the beginning are gone."""
        return len(self._begun - {one.pid for one in self._family()})

    def rows(self, series: int) -> int:
        """Return how many images of a series have a row."""
        sessions = open_database(self.url)
        with sessions.begin() as session:
            found = session.scalars(select(Instance.sop_uid).where(Instance.series_uid == series_uid(series))).all()
        sessions.kw["bind"].dispose()
        return len(found)


def a_header(node: Node, chance: random.Random) -> None:
    """Send an image with a few values that are none, and bytes changed anywhere before its pixels."""
    ds = ct_slice(0, chance.randrange(10_000, 99_999))
    values = {keyword: chance.choice(VALUES) for keyword in chance.sample(KEYWORDS, chance.randrange(1, 4))}
    content = changed(with_values(ds, values), chance, chance.randrange(0, 4))
    with association(node.settings.port) as opened:
        answer_to(opened, content, ds.SOPInstanceUID)


def a_pdu(node: Node, chance: random.Random) -> None:
    """Send a malformed association request, or open an association and send changed or random fragments on it."""
    if chance.random() < 0.5:
        (shot,) = malformed.shots(6, chance.randrange(2**31))[chance.randrange(6) :][:1]
        malformed.shoot(node.settings.port, shot)
        return
    whole = malformed.command(chance.choice((0x0001, 0x0030, 0x0130, 0x0FFF))) + malformed.fragment(0x02, b"x" * 300)
    with malformed.associated(node.settings.port) as peer, suppress(OSError):
        peer.sendall(changed(whole, chance, chance.randrange(1, 6)))
        peer.shutdown(socket.SHUT_WR)
        while peer.recv(4096):
            pass


def a_body(node: Node, chance: random.Random) -> None:
    """Post a multipart body with bytes changed or cut off, now and then under another content type."""
    ds = ct_slice(0, chance.randrange(10_000, 99_999))
    part = b"--xyz\r\nContent-Type: application/dicom\r\n\r\n" + header(ds.SOPInstanceUID) + encoded(ds) + b"\r\n"
    body = changed(part * chance.randrange(1, 4) + b"--xyz--\r\n", chance, chance.randrange(1, 6))
    body = body[: chance.choice((len(body), chance.randrange(len(body))))]
    kind = changed(b"multipart/related; boundary=xyz", chance, chance.choice((0, 0, 0, 2)))
    kind = bytes(byte for byte in kind if 0x20 <= byte < 0x7F) + b"y" * chance.choice((0, 0, 0, 4000))
    head = (
        b"POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer %s\r\n"
        % TOKEN.encode()
    )
    with socket.create_connection(("127.0.0.1", node.settings.web_port or 0), 30) as peer, suppress(OSError):
        peer.sendall(head + b"Content-Type: %s\r\nContent-Length: %d\r\n\r\n" % (kind, len(body)) + body)
        node.server_errors += peer.recv(4096).startswith(SERVER_ERROR)


def changed(content: bytes, chance: random.Random, times: int) -> bytes:
    """Overwrite so many bytes anywhere."""
    bent = bytearray(content)
    for _ in range(times):
        bent[chance.randrange(len(bent))] = chance.choice((0x00, 0x0A, 0x1B, 0x7F, 0xFF, chance.randrange(256)))
    return bytes(bent)


KINDS: dict[str, Callable[[Node, random.Random], None]] = {"headers": a_header, "PDUs": a_pdu, "multipart": a_body}


def run(folder: Path, kind: str, count: int, seed: int = 1) -> Figures:
    """Send so many shots of one kind, and a real series behind each hundred."""
    chance, sent = random.Random(seed), []
    with ExitStack() as stack:
        node = Node(folder, stack)
        for number in range(1, count + 1):
            KINDS[kind](node, chance)
            if number % BEHIND_EACH == 0 or number == count:
                sent.append(number)
                a_real_series(node, number)
                node.look()
        lost = sum(missing(node, number) for number in sent)
        stopped = node.stopped()
    log = node.log.read_text(errors="replace")
    control = sum(not sign.isprintable() and sign != "\n" for sign in log)
    return Figures(kind, count, stopped, lost, node.server_errors, node.memory_mb, len(log) / 1e3, control)


def a_real_series(node: Node, number: int) -> None:
    """Send a sound series and require that each image is answered with success."""
    with association(node.settings.port) as opened:
        for ds in (ct_slice(one, number) for one in range(IMAGES)):
            assert send(opened, encoded(ds), ds.SOPInstanceUID) == 0x0000


def missing(node: Node, number: int) -> int:
    """Return how many images of a sound series have no row when there was time for it."""
    with suppress(AssertionError):
        services.wait_until(lambda: node.rows(number) == IMAGES, 60, "the rows of a sound series")
    return IMAGES - node.rows(number)


def main() -> int:
    """Run, print, and fail where something stopped or was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--headers", type=int, default=10_000)
    parser.add_argument("--pdus", type=int, default=10_000)
    parser.add_argument("--multipart", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    rows = []
    for kind in KINDS:
        with tempfile.TemporaryDirectory(prefix="scleroscan-fuzz-") as name:
            rows.append(run(Path(name), kind, getattr(asked, kind.lower()), asked.seed))
    table = Table("kind", "shots", "stopped", "lost", "answers 500", "memory, MB", "log, kB", "control characters")
    for row in rows:
        numbers = (row.shots, row.stopped, row.lost, row.server_errors, f"{row.memory_mb:.0f}", f"{row.log_kb:.0f}")
        table.add_row(row.kind, *map(str, numbers), str(row.control_characters))
    Console().print(table)
    return 0 if all(row.is_clean for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
