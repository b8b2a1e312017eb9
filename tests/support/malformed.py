"""Association requests as no honest sender makes them, and a way to send raw bytes."""

import contextlib
import random
import select
import socket
import time
from collections.abc import Iterator

IMPLICIT_LITTLE_ENDIAN, CT_IMAGE_STORAGE = b"1.2.840.10008.1.2", b"1.2.840.10008.5.1.4.1.1.2"
VERIFICATION, C_ECHO = b"1.2.840.10008.1.1", 0x0030
APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
ANSWER_TIMEOUT_S = 5.0
PATIENCE_S = 120.0
# The connection is closed, or an A-ABORT came.
ENDS = (b"", b"\x07")


def item(kind: int, content: bytes) -> bytes:
    """Return an item of an association request (PS3.8 9.3.2)."""
    return bytes([kind, 0]) + len(content).to_bytes(2, "big") + content


def pdu(kind: int, content: bytes) -> bytes:
    """Return a PDU."""
    return bytes([kind, 0]) + len(content).to_bytes(4, "big") + content


def association_request(
    calling: bytes = b"SCANNER", sop_class: bytes = CT_IMAGE_STORAGE, implementation: bytes = b"1.2.3.4"
) -> bytes:
    """Return an A-ASSOCIATE-RQ with one presentation context."""
    context = bytes([1, 0, 0, 0]) + item(0x30, sop_class) + item(0x40, IMPLICIT_LITTLE_ENDIAN)
    user = item(0x51, (16384).to_bytes(4, "big")) + item(0x52, implementation)
    titles = b"SCLEROSCAN".ljust(16) + calling.ljust(16)
    items = item(0x10, APPLICATION_CONTEXT) + item(0x20, context) + item(0x50, user)
    return pdu(0x01, b"\0\1\0\0" + titles + bytes(32) + items)


def fragment(control: int, content: bytes, context_id: int = 1) -> bytes:
    """Return a P-DATA-TF PDU with one fragment (PS3.8 9.3.5)."""
    return pdu(0x04, (len(content) + 2).to_bytes(4, "big") + bytes([context_id, control]) + content)


def command(field: int, *, has_data: bool = True) -> bytes:
    """Return the P-DATA-TF PDU of a request's command set: of C-ECHO, or for CT Image Storage."""
    sop_class = VERIFICATION if field == C_ECHO else CT_IMAGE_STORAGE
    values = {
        0x0002: sop_class + b"\0" * (len(sop_class) % 2),
        0x0100: field.to_bytes(2, "little"),
        0x0110: b"\1\0",
        0x0800: b"\0\0" if has_data else b"\1\1",
        0x1000: b"1.2.3.4\0",
    }
    elements = (
        b"\0\0" + element.to_bytes(2, "little") + len(value).to_bytes(4, "little") + value
        for element, value in values.items()
    )
    return fragment(0x03, b"".join(elements))


@contextlib.contextmanager
def associated(port: int) -> Iterator[socket.socket]:
    """Hold a bare connection on which the node has accepted an association."""
    with socket.create_connection(("127.0.0.1", port), ANSWER_TIMEOUT_S) as peer:
        peer.settimeout(60)
        peer.sendall(association_request())
        head = peer.recv(6, socket.MSG_WAITALL)
        assert head[:1] == b"\x02", "the association was not accepted"
        peer.recv(int.from_bytes(head[2:], "big"), socket.MSG_WAITALL)
        yield peer


def is_cut_off(peer: socket.socket, content: bytes, times: int) -> bool:
    """Send the same bytes again and again, and say whether the node aborts or hangs up rather than take them all.

    How fast it does so is not asked: until it closes the connection it may go on reading what it throws away.
    """
    for _ in range(times):
        if _hangs_up(peer, content, 0):
            return True
    return peer.recv(1) in ENDS


def is_given_up(peer: socket.socket, content: bytes, pause_s: float = 0.05) -> bool:
    """Send the same bytes with pauses, for as long as no slow machine needs, and say whether the node hangs up."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        if _hangs_up(peer, content, pause_s):
            return True
    return False


def _hangs_up(peer: socket.socket, content: bytes, pause_s: float) -> bool:
    """Send bytes and listen for so long."""
    try:
        peer.sendall(content)
        said, _, _ = select.select([peer], [], [], pause_s)
        return bool(said) and peer.recv(1) in ENDS
    except TimeoutError:
        # It neither reads nor hangs up.
        return False
    except OSError:
        return True


def shots(count: int, seed: int = 1) -> list[bytes]:
    """Return so many byte sequences, of six kinds in turn."""
    chance = random.Random(seed)
    whole = association_request()
    kinds = (
        lambda: association_request(calling=b"\x1b[31mEVIL\n\0\r"),
        lambda: association_request(sop_class=b"1.2\0\x1b]0;owned\x07\n" * 20, implementation=b"\n\x1b[2J"),
        lambda: _changed(whole, chance),
        lambda: whole[: chance.randrange(7, len(whole))],
        lambda: pdu(chance.choice((0x00, 0x08, 0x7F)), b"\0\x1b\n" * 50),
        lambda: whole + pdu(0x04, chance.randbytes(chance.randrange(1, 64))),
    )
    return [kinds[number % len(kinds)]() for number in range(count)]


def _changed(whole: bytes, chance: random.Random) -> bytes:
    """Return the request with a few bytes behind its fixed part overwritten."""
    content = bytearray(whole)
    for _ in range(3):
        content[chance.randrange(74, len(content))] = chance.choice((0x00, 0x0A, 0x1B, 0x7F, 0xFF))
    return bytes(content)


def shoot(port: int, content: bytes) -> None:
    """Send bytes over a connection of their own and wait until the node has closed it."""
    with socket.create_connection(("127.0.0.1", port), ANSWER_TIMEOUT_S) as peer, contextlib.suppress(OSError):
        peer.sendall(content)
        peer.shutdown(socket.SHUT_WR)
        while peer.recv(4096):
            pass
