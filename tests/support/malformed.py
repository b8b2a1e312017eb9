"""Association requests as no honest sender makes them, and a way to send raw bytes."""

import contextlib
import random
import socket

IMPLICIT_LITTLE_ENDIAN, CT_IMAGE_STORAGE = b"1.2.840.10008.1.2", b"1.2.840.10008.5.1.4.1.1.2"
APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
ANSWER_TIMEOUT_S = 5.0


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
