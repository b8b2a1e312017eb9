"""Shots at the node: images, PDUs and multipart bodies that no honest peer would send, each made from a seed."""

import random
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from tests.fuzz.node import TOKEN, Node
from tests.support import malformed
from tests.support.hostile import with_values
from tests.support.node_senders import answer_to, association, ct_slice, encoded, header, send

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
# Whoever shoots waits for answers most of the time.
SHOOTERS = 4
IMAGES = 4
Shot = Callable[[Node, random.Random], bool]


class Shots:
    """Shots of one kind, several at a time, and sound series of a few images.

    Attributes
    ----------
    server_errors
        How often STOW-RS answered 500.
    """

    def __init__(self, node: Node, shoot: Shot, seed: int) -> None:
        self._node, self._shoot, self._seed = node, shoot, seed
        self.server_errors = self.stopped = 0
        # Nothing is read here.
        self.memory_mb = self.slowest_s = 0.0
        self.outcomes: Counter[str] = Counter()

    def fire(self, numbers: Sequence[int]) -> None:
        """Fire the shots of these numbers; each has a seed of its own."""
        with ThreadPoolExecutor(SHOOTERS) as pool:
            self.server_errors += sum(pool.map(self._one, numbers))

    def _one(self, number: int) -> bool:
        return self._shoot(self._node, random.Random(f"{self._seed} {number}"))

    def send_sound(self, number: int) -> None:
        """Send a sound series over one association; what is not answered with success has no row later."""
        with association(self._node.port) as opened:
            for ds in (ct_slice(one, number) for one in range(IMAGES)):
                send(opened, encoded(ds), ds.SOPInstanceUID)

    def lost_of(self, number: int) -> int:
        """Return how many images of a sound series have no row when there was time for it."""
        return IMAGES - len(self._node.registered(number, IMAGES))


def a_header(node: Node, chance: random.Random) -> bool:
    """Send an image with a few values that are none, and bytes changed anywhere before its pixels."""
    ds = ct_slice(0, chance.randrange(10_000, 99_999))
    values = {keyword: chance.choice(VALUES) for keyword in chance.sample(KEYWORDS, chance.randrange(1, 4))}
    content = changed(with_values(ds, values), chance, chance.randrange(0, 4))
    with association(node.port) as opened:
        answer_to(opened, content, ds.SOPInstanceUID)
    return False


def a_pdu(node: Node, chance: random.Random) -> bool:
    """Send a malformed association request, or open an association and send changed or random fragments on it."""
    if chance.random() < 0.5:
        malformed.shoot(node.port, malformed.shots(6, chance.randrange(2**31))[chance.randrange(6)])
        return False
    whole = malformed.command(chance.choice((0x0001, 0x0030, 0x0130, 0x0FFF))) + malformed.fragment(0x02, b"x" * 300)
    with malformed.associated(node.port) as peer, suppress(OSError):
        peer.sendall(changed(whole, chance, chance.randrange(1, 6)))
        peer.shutdown(socket.SHUT_WR)
        while peer.recv(4096):
            pass
    return False


def a_body(node: Node, chance: random.Random) -> bool:
    """Post a multipart body with bytes changed or cut off, now and then under another content type.

    Returns whether it was answered 500.
    """
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
    with socket.create_connection(("127.0.0.1", node.web_port), 30) as peer, suppress(OSError):
        peer.sendall(head + b"Content-Type: %s\r\nContent-Length: %d\r\n\r\n" % (kind, len(body)) + body)
        return peer.recv(4096).startswith(SERVER_ERROR)
    return False


def changed(content: bytes, chance: random.Random, times: int, before: int | None = None) -> bytes:
    """Overwrite so many bytes anywhere, or anywhere before a place."""
    bent, end = bytearray(content), min(before or len(content), len(content))
    for _ in range(times if end else 0):
        bent[chance.randrange(end)] = chance.choice((0x00, 0x0A, 0x1B, 0x7F, 0xFF, chance.randrange(256)))
    return bytes(bent)
