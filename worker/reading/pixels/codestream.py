"""Reads size and end of a compressed frame from its own stream, before a decoder takes memory for it."""

import math
import re
import struct
from collections.abc import Iterator

JPEG_START, J2K_START, JP2_START = b"\xff\xd8", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  "
J2K_SIZE_BYTES = 42
TILE_PART_MARKER, J2K_END = b"\xff\x90", b"\xff\xd9"
# Start-of-frame markers: T.81 B.1.1.3 (all SOFn but DHT, JPG and DAC) and SOF55 of JPEG-LS (T.87 C.1.1).
FRAME_MARKERS = frozenset(set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7})
SCAN_MARKER, END_MARKER = 0xDA, 0xD9
# Any number of 0xFF may stand before a marker (T.81 B.1.1.2). In compressed data 0xFF00 is a value and 0xFFD0 to
# 0xFFD7 restart the decoder (B.1.1.5, B.2.1): any other marker ends them.
MARKER, AFTER_SCAN = re.compile(rb"\xff+[^\x00\xff]"), re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
# In data of JPEG-LS a bit 0 follows 0xFF (T.87 A.1), so what has its highest bit set ends them.
AFTER_LS_SCAN = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")


def declared_size(frame: bytes) -> tuple[int, int, int] | None:
    """Return (rows, columns, components) of a JPEG, JPEG-LS, JPEG 2000 or HTJ2K frame; None where it is none."""
    if frame.startswith(JPEG_START):
        return _jpeg_size(frame)
    if frame.startswith(J2K_START):
        return _j2k_size(frame, 0)
    if not frame.startswith(JP2_START):
        return None
    # Some writers wrap the codestream in a JP2 file, against PS3.5 8.2.4; decoders read it all the same. Whichever
    # start they take, it is not larger than the largest.
    sizes = (_j2k_size(frame, start.start()) for start in re.finditer(re.escape(J2K_START), frame))
    return max((size for size in sizes if size is not None), key=math.prod, default=None)


def jpeg_end(frame: bytes) -> int | None:
    """Return where a JPEG stream ends, behind its end marker; None where it has none, because it is cut off.

    Segments are passed over by their length: the end marker of a preview inside one is not the picture's.
    """
    return next((at for marker, at in markers(frame) if marker == END_MARKER), None)


def jpeg_ls_end(frame: bytes) -> int | None:
    """Return where a JPEG-LS stream ends, as :func:`jpeg_end` does for other JPEG."""
    return next((at for marker, at in markers(frame, AFTER_LS_SCAN) if marker == END_MARKER), None)


def j2k_lacks_its_end(frame: bytes) -> bool:
    """Return whether the last tile-part of a JPEG 2000 stream goes on to an end marker that is not there.

    Such a tile-part declares no length (T.800 A.4.2), so nothing else tells that it is cut off.
    """
    at = frame.find(J2K_START) + len(J2K_START) // 2
    while at + 10 <= len(frame):
        if frame[at : at + 2] == TILE_PART_MARKER:
            (length,) = struct.unpack_from(">I", frame, at + 6)
            if length == 0:
                # In compressed data no value above 0x8F follows 0xFF.
                return frame.find(J2K_END, at) < 0
        else:
            length = 2 + int(struct.unpack_from(">H", frame, at + 2)[0])
        at += length
    return False


def _j2k_size(frame: bytes, at: int) -> tuple[int, int, int] | None:
    """Read SIZ: marker, length, capabilities, reference grid, tiles, then the number of components (T.800 A.5.1)."""
    if len(frame) < at + J2K_SIZE_BYTES:
        return None
    width, height, left, top = struct.unpack_from(">4I", frame, at + 8)
    (components,) = struct.unpack_from(">H", frame, at + J2K_SIZE_BYTES - 2)
    return height - top, width - left, components


def _jpeg_size(frame: bytes) -> tuple[int, int, int] | None:
    """Read the start of frame, which stands before all compressed data (T.81 B.2.2)."""
    for marker, at in markers(frame):
        if marker == SCAN_MARKER or len(frame) < at + 8:
            return None
        if marker in FRAME_MARKERS:
            rows, columns, components = struct.unpack_from(">2HB", frame, at + 3)
            return rows, columns, components
    return None


def markers(frame: bytes, after_scan: re.Pattern[bytes] = AFTER_SCAN) -> Iterator[tuple[int, int]]:
    """Yield each marker of a JPEG stream and the place behind it, up to the end marker."""
    found = MARKER.match(frame, len(JPEG_START))
    while found:
        marker, at = frame[found.end() - 1], found.end()
        yield marker, at
        if marker == END_MARKER or len(frame) < at + 2:
            return
        at += int(struct.unpack_from(">H", frame, at)[0])
        found = after_scan.search(frame, at) if marker == SCAN_MARKER else MARKER.match(frame, at)
