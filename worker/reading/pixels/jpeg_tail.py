"""Proves from its last pixels that a lossless JPEG frame is whole, without decoding it again.

A decoder that runs out of data goes on with bits of 0. Lossless coding can be undone bit by bit: the last pixels,
encoded anew, are the bits that the decoder took last. Where these are the last bits of the stream, and would not be
with zeros behind it, the decoder did not run out.
"""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.reading.pixels import codestream

Numbers = NDArray[np.int64]
# Marker, length, precision, rows, columns and so on of lossless frames (T.81 B.2.2), tables, scans and restarts.
LOSSLESS, TABLES, SCAN, RESTARTS = 0xC3, 0xC4, 0xDA, 0xDD
# A row is enough, but where it is flat; more than a few rows take longer than to decode again.
ROWS_TRIED = (1, 8)
FEWEST_BITS = 64
PREDICTORS = range(1, 8)


@dataclass(frozen=True, eq=False)
class _Coding:
    """How a scan is coded: predictor, the value that stands for no prediction, the code of each size of difference."""

    predictor: int
    middle: int
    codes: Numbers
    lengths: Numbers


def proves_whole(stream: bytes, values: NDArray[np.generic]) -> bool:
    """Return whether a stream that ends in its end marker surely holds all data of the picture decoded from it.

    ``False`` says nothing: the frame is of another process, or its last rows are too flat.

    Parameters
    ----------
    values
        (rows, columns), as libjpeg decoded them.
    """
    coding = _coding(stream)
    if coding is None or values.ndim != 2 or values.dtype != np.uint16:
        return False
    # Behind the row in which data end, libjpeg fills rows with the value that stands for no prediction.
    if np.all(values[-1] == coding.middle):
        return False
    tried = (rows for rows in ROWS_TRIED if rows < len(values))
    return any(_ends_in(stream, _encoded(values[-rows - 1 :], coding)) for rows in tried)


def _ends_in(stream: bytes, bits: bytes) -> bool:
    """Return whether data end in these bits and at most 7 of padding, and only so, with or without zeros behind."""
    last_one = bits.rfind(1)
    if len(bits) < FEWEST_BITS or last_one < 0:
        return False
    needed = len(bits) // 8 + 2
    # A byte of zeros is stuffed behind each byte of ones (T.81 F.1.2.3).
    data = stream[-2 * needed - 16 :].removesuffix(b"\xff\xd9").rstrip(b"\xff").replace(b"\xff\x00", b"\xff")
    tail = np.frombuffer(data[-needed:], np.uint8)
    found = np.unpackbits(tail).tobytes() + bytes(len(bits) - 1 - last_one)
    end = found.rfind(bits) + len(bits)
    return 8 * len(tail) - 7 <= end <= 8 * len(tail)


def _encoded(rows: NDArray[np.generic], coding: _Coding) -> bytes:
    """Encode all rows but the first, each bit a byte; without any where the tables have no code for a difference."""
    differences = _differences(rows.astype(np.int64), coding.predictor).ravel()
    sizes = np.frexp(np.abs(differences).astype(np.float64))[1]
    # 2¹⁵, and no other difference, is of size 16, which no further bits follow (T.81 H.1.2.2).
    more = np.where(sizes == 16, 0, sizes)
    lengths = coding.lengths[sizes]
    if not lengths.all():
        return b""
    words = coding.codes[sizes] << more | np.where(differences < 0, differences - 1, differences) & (1 << more) - 1
    lengths = lengths + more
    shifts = np.repeat(np.cumsum(lengths), lengths) - 1 - np.arange(lengths.sum())
    return (np.repeat(words, lengths) >> shifts & 1).astype(np.uint8).tobytes()


def _differences(rows: Numbers, predictor: int) -> Numbers:
    """Return the differences of all rows but the first from what is predicted, −32767 to 32768 (T.81 H.1.2.1)."""
    predicted = rows[:-1].copy()
    predicted[:, 1:] = _predicted(rows[1:, :-1], rows[:-1, 1:], rows[:-1, :-1])[predictor - 1]
    return (rows[1:] - predicted + 0x7FFF & 0xFFFF) - 0x7FFF


def _predicted(left: Numbers, above: Numbers, corner: Numbers) -> tuple[Numbers, ...]:
    """Return what each predictor makes of the neighbours: to the left, above, above to the left (T.81 table H.1)."""
    plane, flat = left + above - corner, (left + above) >> 1
    return left, above, corner, plane, left + ((above - corner) >> 1), above + ((left - corner) >> 1), flat


def _coding(stream: bytes) -> _Coding | None:
    """Read how the scan of a lossless frame is coded; None for other frames, and for those of several parts."""
    tables: dict[int, tuple[Numbers, Numbers]] = {}
    precision = 0
    for marker, at in codestream.markers(stream):
        segment = stream[at + 2 : at + struct.unpack_from(">H", stream, at)[0]]
        if marker == LOSSLESS and len(segment) >= 6:
            precision = segment[0]
        elif marker == TABLES:
            tables |= _tables(segment)
        elif marker == RESTARTS:
            return None
        elif marker == SCAN:
            table = tables.get(segment[2] >> 4) if len(segment) == 6 else None
            whole_bits = len(segment) == 6 and segment[5] & 15 == 0
            if table is None or not precision or not whole_bits or segment[3] not in PREDICTORS:
                return None
            return _Coding(segment[3], 1 << precision - 1, *table)
    return None


def _tables(segment: bytes) -> dict[int, tuple[Numbers, Numbers]]:
    """Read tables of codes: of each size of difference its code and length, 0 where it has none (T.81 C.2)."""
    found = {}
    while len(segment) > 17:
        counts, code, symbols = segment[1:17], 0, segment[17:]
        codes, lengths = np.zeros(17, np.int64), np.zeros(17, np.int64)
        for length, count in enumerate(counts, start=1):
            for symbol in symbols[:count]:
                if symbol > 16:
                    return {}
                codes[symbol], lengths[symbol], code = code, length, code + 1
            symbols, code = symbols[count:], code << 1
        found[segment[0]] = codes, lengths
        segment = symbols
    return found
