"""Decodes a compressed frame to its stored values; all decoders here let other threads run meanwhile."""

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

from worker.reading.pixels import codestream, jpeg_tail

JPEG_END = b"\xff\xd9"
# Bytes that hold no marker and, in no table of codes, a row of zeros. Their first bit is 1, because libjpeg goes on
# with bits of 0 where data end: a single bit that is missing shows.
JPEG_MORE = b"\xa5\x58\xc3\x2e" * 16
# Retired syntaxes that archives still hold: spectral selection and full progression of 12 bits.
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
    """Decode JPEG of any process; raise where data are missing."""
    stream = _without_tail(frame)
    values = np.asarray(imagecodecs.jpeg_decode(stream))
    if not jpeg_tail.proves_whole(stream, values):
        _require_whole(stream, values)
    return values


def _without_tail(frame: bytes) -> bytes:
    """Return the stream up to its end marker; bytes behind it are padding.

    Raises where there is no end marker: such a stream is cut off, and libjpeg would fill the rest without an error.
    """
    end = codestream.jpeg_end(frame)
    if end is None:
        raise ValueError("the JPEG stream is cut off")
    return frame[:end]


def _require_whole(stream: bytes, values: Stored) -> None:
    """Refuse a stream that lacks data before its end, in which bytes added there change the picture."""
    more = stream.removesuffix(JPEG_END).rstrip(b"\xff") + JPEG_MORE + JPEG_END
    if not np.array_equal(imagecodecs.jpeg_decode(more), values):
        raise ValueError("the JPEG stream lacks data")


def _jpeg_ls(frame: bytes) -> Stored:
    # CharLS counts to 2³² at the end of some streams that are cut off.
    if codestream.jpeg_ls_end(frame) is None:
        raise ValueError("the JPEG-LS stream is cut off")
    return np.asarray(imagecodecs.jpegls_decode(frame))


def _jpeg_2000(frame: bytes) -> Stored:
    # OpenJPEG for HTJ2K too: OpenJPH is faster, but fills a stream that is cut off without an error.
    if codestream.j2k_is_cut_off(frame):
        raise ValueError("the JPEG 2000 stream is cut off")
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
        planes[:, count - 1 - number] = (_unpacked if number == 0 else _unpacked_before_tail)(frame[start:end], size)
    return values.reshape(shape)


def _unpacked(packed: bytes, size: int) -> NDArray[np.uint8]:
    """Decode an RLE segment, all of it: one that is longer tells of other rows and columns."""
    # A byte more may have been added to make the length even; no more memory is taken, whatever is packed.
    try:
        segment = imagecodecs.packbits_decode(packed, out=size + 1)
    except imagecodecs.PackbitsError as error:
        raise ValueError(f"an RLE segment is damaged, or holds more than {size} bytes") from error
    if len(segment) < size:
        raise ValueError(f"an RLE segment holds {len(segment)} of {size} bytes")
    return np.frombuffer(segment, np.uint8, size)


def _unpacked_before_tail(packed: bytes, size: int) -> NDArray[np.uint8]:
    """Decode the last RLE segment, behind which may stand padding of whatever value and length."""
    try:
        return _unpacked(packed, size)
    except ValueError:
        # Looking for the end is slow, and hardly ever needed.
        return _unpacked(packed[: _packed_end(packed, size)], size)


def _packed_end(packed: bytes, size: int) -> int:
    """Return where ``size`` bytes are packed, by the lengths of the runs (PS3.5 G.3.2)."""
    at = made = 0
    while made < size and at < len(packed):
        length = packed[at]
        if length < 128:
            made, at = made + length + 1, at + length + 2
        elif length > 128:
            made, at = made + 257 - length, at + 2
        else:
            at += 1
    return at


DECODERS: dict[str, Callable[[bytes], Stored]] = {
    **dict.fromkeys((JPEGLosslessSV1, JPEGLossless), _jpeg),
    **dict.fromkeys((JPEGBaseline8Bit, JPEGExtended12Bit, JPEG_SPECTRAL, JPEG_PROGRESSIVE), _jpeg),
    **dict.fromkeys((JPEGLSLossless, JPEGLSNearLossless), _jpeg_ls),
    **dict.fromkeys((JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K), _jpeg_2000),
}
