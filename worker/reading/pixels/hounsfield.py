"""Turns stored pixels into Hounsfield units: every slice straight into one array, compressed ones on all cores."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from itertools import repeat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.encaps import generate_frames
from pydicom.filereader import data_element_generator
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from worker.reading import headers
from worker.reading.headers import SourceFile
from worker.reading.pixels import codestream, decoders, memory, rescale, storage
from worker.reading.pixels.decoders import Stored
from worker.reading.slices import SourceSlice

# The errors that codecs raise on a damaged or unknown stream, and those that malformed values raise.
UNDECODABLE = (*headers.MALFORMED, IndexError, RuntimeError)
PIXEL_DATA = 0x7FE00010
# A file is in memory as its element, as its fragments joined, and once more where a decoder wants them changed.
COPIES_OF_A_FILE = 4
# OpenJPEG, the hungriest, holds numbers of four bytes in about three copies.
DECODER_BYTES_PER_PIXEL = 32
# Beyond so many, decoding is no faster, and their stacks of 8 MiB would be what reaches the limit.
MOST_THREADS = 32
# Stacks of threads, and whatever the interpreter takes beside.
SPARE_BYTES = 512 * 2**20


@dataclass(frozen=True, eq=False)
class _Source:
    """Where the pixels of a file are: its bytes from ``at`` on, or its compressed frames.

    ``inflated`` holds the pixels of a deflated file, in which nothing can be sought.
    """

    path: Path
    at: int = 0
    length: int = 0
    inflated: bytes | None = None
    frames: tuple[bytes, ...] = ()


def read(slices: Sequence[SourceSlice]) -> NDArray[np.int16]:
    """Return int16 (slices, rows, columns) in Hounsfield units, in the order given.

    Padding becomes −1024, and so does whatever lies below: scanners fill the corners with −2000 or −3024.

    Parameters
    ----------
    slices
        Slices that have rows and columns in common.

    Raises
    ------
    InputRejected
        ``not_hounsfield``, ``pixel_bomb``, ``undecodable_pixels``: the first slice that is wrong decides.
    """
    for one in slices:
        storage.require_hounsfield(one.header)
        storage.require_sane_size(one)
    storage.require_sane_volume(slices)
    first = slices[0].header
    shape = len(slices), int(first.Rows), int(first.Columns)
    threads = 1 if all(one.file.is_native for one in slices) else min(MOST_THREADS, len(os.sched_getaffinity(0)))
    with memory.bounded(_needed_bytes(slices, shape, threads)):
        volume = np.empty(shape, dtype=np.int16)
        _fill_all(slices, volume, threads)
    return volume


def _needed_bytes(slices: Sequence[SourceSlice], shape: tuple[int, int, int], threads: int) -> int:
    """Return what reading a volume takes at most: volume, files that are open, and a decoder for each thread."""
    count, rows, columns = shape
    sizes = {one.file.path: one.file.path.stat().st_size for one in slices}
    # The frames of multi-frame objects stay in memory until all are decoded.
    kept = sum(sizes[path] for path in {one.file.path for one in slices if one.frame is not None})
    decoder = rows * columns * DECODER_BYTES_PER_PIXEL + max(sizes.values()) * COPIES_OF_A_FILE
    return count * rows * columns * 2 + kept * COPIES_OF_A_FILE + threads * decoder + SPARE_BYTES


def _fill_all(slices: Sequence[SourceSlice], volume: NDArray[np.int16], threads: int) -> None:
    sources = _shared_sources(slices)
    if threads == 1:
        # Native pixels need no decoding, and one thread fills memory as fast as several.
        for one, target in zip(slices, volume, strict=True):
            _fill(one, sources, target)
        return
    # Decoders release the interpreter lock, so threads use all cores and share the one array.
    with ThreadPoolExecutor(threads, thread_name_prefix="pixels") as pool:
        for _ in pool.map(_fill, slices, repeat(sources), volume):
            pass


def read_slice(one: SourceSlice, target: NDArray[np.int16]) -> None:
    """Write one slice in Hounsfield units into ``target`` (rows, columns).

    Raises
    ------
    InputRejected
        ``pixel_bomb``, ``undecodable_pixels``.
    """
    _fill(one, _shared_sources([one]), target)


def _fill(one: SourceSlice, sources: dict[Path, _Source], target: NDArray[np.int16]) -> None:
    how = storage.check(one)
    try:
        source = sources.get(one.file.path) or _source(one.file)
        stored = _compressed(one, source) if source.frames else _native(one, source, target)
        if stored.shape != target.shape:
            raise ValueError("another size than the header's")
        rescale.to_hounsfield(stored, how, target)
    except UNDECODABLE as error:
        raise storage.undecodable(one, error) from error


def _shared_sources(slices: Sequence[SourceSlice]) -> dict[Path, _Source]:
    """Find the pixels of each multi-frame object once; those of classic images are found slice by slice."""
    sources: dict[Path, _Source] = {}
    for one in slices:
        if one.frame is not None and one.file.path not in sources:
            try:
                sources[one.file.path] = _source(one.file)
            except UNDECODABLE as error:
                raise storage.undecodable(one, error) from error
    return sources


def _source(file: SourceFile) -> _Source:
    if file.syntax == DeflatedExplicitVRLittleEndian:
        return _Source(file.path, inflated=dcmread(file.path).PixelData)
    # As found, not as declared: pydicom sees through files whose meta group names the wrong one of the two.
    implicit, little = file.encoding
    # Of native pixels only the place is asked for: they go from the file straight to the volume's numbers.
    longest_read = 0 if file.is_native else None
    with file.path.open("rb") as stream:
        stream.seek(file.pixels_at)
        for element in data_element_generator(stream, implicit, little, defer_size=longest_read):
            if element.tag == PIXEL_DATA and isinstance(element, RawDataElement):
                break
        else:
            raise ValueError("no pixel data")
    if file.is_native:
        return _Source(file.path, element.value_tell, element.length)
    count = int(headers.number(file.header, "NumberOfFrames") or 1)
    frames = tuple(generate_frames(element.value or b"", number_of_frames=count))
    if len(frames) != count:
        raise ValueError(f"{len(frames)} of {count} frames")
    return _Source(file.path, frames=frames)


def _compressed(one: SourceSlice, source: _Source) -> Stored:
    frame = source.frames[(one.frame or 1) - 1]
    shape = int(one.header.Rows), int(one.header.Columns)
    if one.file.syntax != RLELossless:
        _require_declared(one, frame, shape)
    return decoders.decode(frame, one.file.syntax, shape)


def _require_declared(one: SourceSlice, frame: bytes, shape: tuple[int, int]) -> None:
    """Refuse a stream of another size than the header's before a decoder takes memory for it."""
    size = codestream.declared_size(frame)
    if size is None:
        raise ValueError("the stream declares no size")
    if size != (*shape, 1):
        rows, columns, samples = size
        bits = int(one.header.BitsAllocated)
        declared = {"rows": rows, "columns": columns, "frames": 1, "samples": samples, "bits": bits}
        raise storage.bomb(one, f"its header {shape[0]} × {shape[1]} of one sample", declared)


def _native(one: SourceSlice, source: _Source, target: NDArray[np.int16]) -> Stored:
    """Return the bits of one slice as they lie in the file; those of 16 bits are read into ``target`` itself."""
    bits, little = int(one.header.BitsAllocated), one.file.encoding[1]
    if bits == 8 and not little:
        raise NotImplementedError("bytes swapped in pairs")
    stored = target.view(np.uint16) if bits == 16 else np.empty(target.shape, np.uint8)
    needed = stored.nbytes * int(headers.number(one.file.header, "NumberOfFrames") or 1)
    held = source.length if source.inflated is None else len(source.inflated)
    # A byte more makes an odd length even; any other length means other rows or columns than declared.
    if held not in (needed, needed + needed % 2):
        raise ValueError(f"{held} bytes of pixels in place of {needed}")
    at = source.at + stored.nbytes * ((one.frame or 1) - 1)
    with source.path.open("rb", buffering=0) if source.inflated is None else BytesIO(source.inflated) as stream:
        stream.seek(at)
        if stream.readinto(stored.data) != stored.nbytes:
            raise EOFError("the pixels are cut off")
    return stored if little or bits == 8 else stored.byteswap(inplace=True)
