"""Reads size and end of a compressed frame from its own stream, before a decoder takes memory for it."""

import re
import struct
from collections.abc import Iterator

JPEG_START, J2K_START, JP2_START = b"\xff\xd8", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  "
# Start-of-frame markers: T.81 B.1.1.3 (all SOFn but DHT, JPG and DAC) and SOF55 of JPEG-LS (T.87 C.1.1).
FRAME_MARKERS = frozenset(set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7})
SCAN_MARKER, END_MARKER = 0xDA, 0xD9
# Any number of 0xFF may stand before a marker (T.81 B.1.1.2). In compressed data 0xFF00 is a value and 0xFFD0 to
# 0xFFD7 restart the decoder (B.1.1.5, B.2.1): any other marker ends them.
MARKER, AFTER_SCAN = re.compile(rb"\xff+[^\x00\xff]"), re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


def declared_size(frame: bytes) -> tuple[int, int] | None:
    """Return (rows, columns) of a JPEG, JPEG-LS, JPEG 2000 or HTJ2K frame; None where it is none of them."""
    if frame.startswith(JPEG_START):
        return _jpeg_size(frame)
    # Some writers wrap the codestream in a JP2 file, against PS3.5 8.2.4; decoders read it all the same.
    at = frame.find(J2K_START) if frame.startswith((J2K_START, JP2_START)) else -1
    if at < 0 or len(frame) < at + 24:
        return None
    # SIZ: marker, length, capabilities, then the reference grid and the image's offset in it (T.800 A.5.1).
    width, height, left, top = struct.unpack_from(">4I", frame, at + 8)
    return height - top, width - left


def jpeg_end(frame: bytes) -> int | None:
    """Return where a JPEG stream ends, behind its end marker; None where it has none, because it is cut off.

    Segments are passed over by their length: the end marker of a preview inside one is not the picture's.
    """
    return next((at for marker, at in _markers(frame) if marker == END_MARKER), None)


def _jpeg_size(frame: bytes) -> tuple[int, int] | None:
    """Read the start of frame, which stands before all compressed data."""
    for marker, at in _markers(frame):
        if marker == SCAN_MARKER or len(frame) < at + 7:
            return None
        if marker in FRAME_MARKERS:
            rows, columns = struct.unpack_from(">2H", frame, at + 3)
            return rows, columns
    return None


def _markers(frame: bytes) -> Iterator[tuple[int, int]]:
    """Yield each marker of a JPEG stream and the place behind it, up to the end marker."""
    found = MARKER.match(frame, len(JPEG_START))
    while found:
        marker, at = frame[found.end() - 1], found.end()
        yield marker, at
        if marker == END_MARKER or len(frame) < at + 2:
            return
        at += int(struct.unpack_from(">H", frame, at)[0])
        found = AFTER_SCAN.search(frame, at) if marker == SCAN_MARKER else MARKER.match(frame, at)
