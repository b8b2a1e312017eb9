"""What a compressed frame says of its own size, read before a decoder takes memory for it."""

import struct

JPEG_START, J2K_START, JP2_START = b"\xff\xd8", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  "
# Start-of-frame markers: T.81 B.1.1.3 (all SOFn but DHT, JPG and DAC) and SOF55 of JPEG-LS (T.87 C.1.1).
FRAME_MARKERS = frozenset(set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7})


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


def _jpeg_size(frame: bytes) -> tuple[int, int] | None:
    """Walk the marker segments up to the start of frame."""
    at = len(JPEG_START)
    while at + 9 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in FRAME_MARKERS:
            rows, columns = struct.unpack_from(">2H", frame, at + 5)
            return rows, columns
        else:
            at += 2 + int(struct.unpack_from(">H", frame, at + 2)[0])
    return None
