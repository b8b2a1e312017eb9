"""A compressed frame → its stored values. All of these decoders let other threads run meanwhile."""

import struct
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

JPEG_END = b"\xff\xd9"
# Neither a marker nor, in any table of codes, a row of zeros.
JPEG_MORE = b"\x5a\xa7\x3c\xd1" * 16
# Retired, and still in archives: spectral selection and full progression of 12 bits.
JPEG_SPECTRAL, JPEG_PROGRESSIVE = UID("1.2.840.10008.1.2.4.53"), UID("1.2.840.10008.1.2.4.55")
RLE_HEADER = struct.Struct("<16L")
Stored = NDArray[Any]


def decode(frame: bytes, syntax: str, shape: tuple[int, int]) -> Stored:
    """Return the stored values of one frame, (rows, columns), 8 or 16 bits, bit patterns without sign.

    Parameters
    ----------
    frame
        The fragments of one frame, joined.
    shape
        (rows, columns) that the header declares.

    Raises
    ------
    ValueError, RuntimeError
        The frame is damaged, cut off, or of another size.
    NotImplementedError
        No decoder reads this transfer syntax.
    """
    if syntax == RLELossless:
        return _run_lengths(frame, shape)
    decoder = DECODERS.get(syntax)
    if decoder is None:
        raise NotImplementedError(syntax)
    values = decoder(frame)
    if values.shape != shape:
        raise ValueError(f"decoded to {values.shape} in place of {shape}")
    if values.dtype.kind == "i":
        return values.astype(np.int16, casting="safe", copy=False).view(np.uint16)
    return values.astype(np.uint16, casting="safe", copy=False)


def _jpeg(frame: bytes) -> Stored:
    """Decode JPEG of any process, and be sure that it is whole."""
    values = _ended_jpeg(frame)
    _require_whole(frame, values)
    return values


def _jpeg_first_order(frame: bytes) -> Stored:
    """Decode JPEG lossless of first-order prediction: nearly all that archives hold, and therefore quick."""
    values = _ended_jpeg(frame)
    # Where data are missing each row repeats the one above, to the last.
    if values.ndim != 2 or len(values) < 2 or np.array_equal(values[-1], values[-2]):
        _require_whole(frame, values)
    return values


def _ended_jpeg(frame: bytes) -> Stored:
    # libjpeg fills what is cut off, and says nothing.
    if not frame.rstrip(b"\0").endswith(JPEG_END):
        raise ValueError("the JPEG stream is cut off")
    return np.asarray(imagecodecs.jpeg_decode(frame))


def _require_whole(frame: bytes, values: Stored) -> None:
    """Refuse a stream that lacks data before its end: only then do bytes put in there change the picture."""
    # Any number of 0xFF may stand before a marker (T.81 B.1.1.2).
    more = frame.rstrip(b"\0").removesuffix(JPEG_END).rstrip(b"\xff") + JPEG_MORE + JPEG_END
    if not np.array_equal(imagecodecs.jpeg_decode(more), values):
        raise ValueError("the JPEG stream lacks data")


def _jpeg_ls(frame: bytes) -> Stored:
    return np.asarray(imagecodecs.jpegls_decode(frame))


def _jpeg_2000(frame: bytes) -> Stored:
    # OpenJPEG for HTJ2K too: OpenJPH is faster and fills what is cut off.
    return np.asarray(imagecodecs.jpeg2k_decode(frame))


def _run_lengths(frame: bytes, shape: tuple[int, int]) -> Stored:
    """Decode RLE (PS3.5 G): one segment for each byte of a value, the highest first."""
    count, *offsets = RLE_HEADER.unpack_from(frame)
    if count not in (1, 2):
        raise ValueError(f"{count} RLE segments")
    ends = [*offsets[1:count], len(frame)]
    size = shape[0] * shape[1]
    values = np.zeros(size, f"u{count}")
    planes = values.view(np.uint8).reshape(size, count)
    for number, (start, end) in enumerate(zip(offsets, ends, strict=False)):
        segment = np.frombuffer(imagecodecs.packbits_decode(frame[start:end]), np.uint8)
        # An even length may have cost one more byte.
        if not size <= len(segment) <= size + 1:
            raise ValueError(f"an RLE segment holds {len(segment)} of {size} bytes")
        planes[:, count - 1 - number] = segment[:size]
    return values.reshape(shape)


DECODERS: dict[str, Callable[[bytes], Stored]] = {
    JPEGLosslessSV1: _jpeg_first_order,
    **dict.fromkeys((JPEGBaseline8Bit, JPEGExtended12Bit, JPEG_SPECTRAL, JPEG_PROGRESSIVE, JPEGLossless), _jpeg),
    **dict.fromkeys((JPEGLSLossless, JPEGLSNearLossless), _jpeg_ls),
    **dict.fromkeys((JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K), _jpeg_2000),
}
