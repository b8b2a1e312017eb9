"""Compressed frames as no encoder makes them: bent, cut off, grown, spliced, and under another syntax's name."""

import random
import re
import struct
from collections.abc import Callable

import numpy as np
from pydicom.encaps import encapsulate
from pydicom.uid import HTJ2KLossless, JPEG2000Lossless, RLELossless

from tests.fuzz.shots import changed
from tests.support.codestreams import LOSSLESS, LOSSY, Values

SYNTAXES = {**LOSSLESS, **LOSSY}
EXTREMES = (0, 1, 2, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1)
HEAD_BYTES = 150
# Start of frame of T.81 and T.87, behind its length and precision.
JPEG_FRAME = re.compile(rb"\xff[\xc0-\xc3\xf7]", re.DOTALL)
# (place, bytes) of fields of SIZ in a codestream (T.800 A.5.1), and of COD behind its marker (A.6.1).
SIZ_FIELDS = ((4, 2), (8, 4), (12, 4), (16, 4), (20, 4), (24, 4), (28, 4), (32, 4), (40, 2), (42, 1), (43, 1), (44, 1))
COD_FIELDS = ((2, 2), (4, 1), (5, 1), (6, 2), (8, 1), (9, 1), (10, 1), (11, 1), (12, 1), (13, 1))
Bend = Callable[[bytes, str, random.Random], bytes]


def hostile(values: Values, chance: random.Random) -> tuple[str, bytes]:
    """Return a transfer syntax and the value of PixelData: a hostile frame, encapsulated."""
    syntax = chance.choice(list(SYNTAXES))
    frame = chance.choice(BENDS)(SYNTAXES[syntax](values), syntax, chance)
    return syntax, _encapsulated(frame, chance)


def sound(values: Values, syntax: str) -> bytes:
    """Return the value of PixelData of a frame that is as it should be."""
    return bytes(encapsulate([SYNTAXES[syntax](values)]))


def _bent(frame: bytes, _: str, chance: random.Random) -> bytes:
    return changed(frame, chance, chance.randrange(1, 20))


def _bent_at_its_head(frame: bytes, _: str, chance: random.Random) -> bytes:
    return changed(frame, chance, chance.randrange(1, 6), HEAD_BYTES)


def _cut_off(frame: bytes, _: str, chance: random.Random) -> bytes:
    return frame[: chance.randrange(len(frame))]


def _spliced(frame: bytes, _: str, chance: random.Random) -> bytes:
    """Put a piece of the frame into it once more, somewhere, up to a thousand times."""
    first, last = sorted(chance.randrange(len(frame)) for _ in range(2))
    at = chance.randrange(len(frame))
    return frame[:at] + frame[first:last] * chance.choice((1, 2, 1000)) + frame[at:]


def _other(frame: bytes, _: str, chance: random.Random) -> bytes:
    """Return a frame of any other syntax."""
    size = chance.choice((1, 8, 64, 200))
    return chance.choice(list(SYNTAXES.values()))(np.full((size, size), 7, np.uint16))


def _noise(frame: bytes, _: str, chance: random.Random) -> bytes:
    """Keep the beginning, or nothing, and go on with noise."""
    return frame[: chance.choice((0, 2, 4, HEAD_BYTES))] + chance.randbytes(chance.randrange(5000))


def _grown(frame: bytes, syntax: str, chance: random.Random) -> bytes:
    """Declare more than there is: larger pictures, more tiles, levels, layers, components, longer runs."""
    if syntax == RLELossless:
        return _grown_run_lengths(frame, chance)
    if syntax in (JPEG2000Lossless, HTJ2KLossless):
        return _grown_j2k(frame, chance)
    return _grown_jpeg(frame, chance)


def _grown_run_lengths(frame: bytes, chance: random.Random) -> bytes:
    """Let segments begin anywhere, or hold a row of runs that is 64 times as long unpacked."""
    head = [chance.choice((1, 2, 2, 2, 15)), *(chance.choice((64, 65, len(frame), *EXTREMES)) for _ in range(15))]
    runs = b"\x81\x07" * chance.choice((0, 100, 50_000))
    return struct.pack("<16L", *head) + runs + frame[64:] + runs


def _grown_j2k(frame: bytes, chance: random.Random) -> bytes:
    at, size = chance.choice(SIZ_FIELDS)
    if chance.random() < 0.5:
        at, size = chance.choice(COD_FIELDS)
        at += max(frame.find(b"\xff\x52"), 0)
    return _patched(frame, at, size, chance)


def _grown_jpeg(frame: bytes, chance: random.Random) -> bytes:
    found = JPEG_FRAME.search(frame)
    if found is None:
        return frame
    start, length = found.start(), struct.unpack_from(">H", frame, found.end())[0]
    segment = _patched(frame[start : start + 2 + length], chance.choice((5, 7)), 2, chance)
    # In place of the first start of frame, or as a second one behind it, which nobody has looked at.
    behind = start + (2 + length) * chance.randrange(2)
    return frame[:behind] + segment + frame[start + 2 + length :]


def _patched(content: bytes, at: int, size: int, chance: random.Random) -> bytes:
    value = chance.choice(EXTREMES) % 256**size
    return content[:at] + value.to_bytes(size, "big") + content[at + size :]


def _encapsulated(frame: bytes, chance: random.Random) -> bytes:
    """Wrap a frame: usually as it should be, else in many fragments or in items that are bent."""
    if len(frame) < 16:
        # No whole fragment: an item as it would be, around nothing or a few bytes.
        return bytes(encapsulate([bytes(16)]))[:-16] + frame
    if chance.random() < 0.9:
        return bytes(encapsulate([frame]))
    fragments = chance.choice((1, 2, 7)) if len(frame) > 100 else 1
    whole = bytes(encapsulate([frame], fragments_per_frame=fragments))
    return changed(whole, chance, chance.randrange(3), 32)


BENDS: tuple[Bend, ...] = (_bent, _bent_at_its_head, _cut_off, _spliced, _other, _noise, _grown, _grown)
