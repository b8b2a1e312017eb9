"""Reads size and end of a compressed frame from its own stream, before a decoder takes memory for it."""

import math
import re
import struct
from collections import Counter
from collections.abc import Iterator

JPEG_START, J2K_START, JP2_START = b"\xff\xd8", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  "
J2K_SIZE_BYTES = 42
# Marker and length of a start of tile-part (T.800 A.4.2), and the end marker.
TILE_PART_START, TILE_PART_BYTES, J2K_END = b"\xff\x90\x00\x0a", 12, b"\xff\xd9"
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


def j2k_is_cut_off(frame: bytes) -> bool:
    """Return whether a JPEG 2000 stream lacks a tile-part that it declares, or the end marker where it declares none.

    OpenJPEG refuses a stream that is cut off within a tile-part, and takes one that is cut off behind it for whole.
    """
    found: Counter[int] = Counter()
    declared: Counter[int] = Counter()
    start = at = frame.find(TILE_PART_START)
    length = 0
    while frame.startswith(TILE_PART_START, at) and at + TILE_PART_BYTES <= len(frame):
        # Tile, length, number within the tile, how many the tile has; 0 where it is not told (T.800 A.4.2).
        tile, length, _, count = struct.unpack_from(">HIBB", frame, at + 4)
        found[tile] += 1
        declared[tile] = max(count, declared[tile])
        start, at = at, at + length
        if length == 0:
            break
    if (
        at > len(frame)
        or len(found) < _j2k_tiles(frame)
        or any(found[tile] < count for tile, count in declared.items())
    ):
        return True
    # In compressed data no value above 0x8F follows 0xFF.
    ended = frame.find(J2K_END, start if length == 0 else at - len(J2K_END)) >= 0
    return not ended and (length == 0 or not all(declared[tile] for tile in found))


def _j2k_tiles(frame: bytes) -> int:
    """Return how many tiles SIZ declares, 0 where it makes no sense (T.800 B.3)."""
    at = frame.find(J2K_START)
    if len(frame) < at + J2K_SIZE_BYTES:
        return 0
    width, height, _, _, tile_width, tile_height, left, top = struct.unpack_from(">8I", frame, at + 8)
    if not tile_width or not tile_height:
        return 0
    return int(-((left - width) // tile_width) * -((top - height) // tile_height))


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
