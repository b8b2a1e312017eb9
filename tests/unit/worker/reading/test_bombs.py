"""Compressed frames that grow: refused by what they declare, and held by a limit where they declare nothing."""

import os
import struct
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom.uid import UID, HTJ2KLossless, JPEG2000Lossless, JPEGBaseline8Bit, JPEGLSLossless, RLELossless

from tests.support import ct_files
from tests.support.bombs import GREY, hoard, many_components, with_frame
from tests.support.ct_files import slices, write
from worker.errors import InputRejected
from worker.reading import series
from worker.reading.pixels import codestream, decoders, memory

ROWS, COLUMNS = GREY.shape
COLOUR = np.zeros((ROWS, COLUMNS, 3), np.uint8)
MIB = 2**20


def behind_a_decoy(frame: bytes) -> bytes:
    """Return a JP2 file with a harmless codestream in a free box before the one that is decoded."""
    start, *rest = imagecodecs.jpeg2k_encode(GREY, level=0, reversible=True, codecformat="jp2").partition(
        b"\0\0\0\x14ftyp"
    )
    decoy = frame[:4] + many_components(1)[4:60]
    box = struct.pack(">I", 8 + len(decoy)) + b"free" + decoy
    whole = start + b"".join(rest)
    at = whole.index(b"jp2h") - 4
    head, body = whole[:at] + box + whole[at:], b"jp2c"
    before = head[: head.index(body)]
    return before[:-4] + struct.pack(">I", 8 + len(frame)) + body + frame


GROWN: dict[str, tuple[UID, bytes]] = {
    "JPEG of three": (JPEGBaseline8Bit, imagecodecs.jpeg_encode(COLOUR, level=95)),
    "JPEG-LS of three": (JPEGLSLossless, imagecodecs.jpegls_encode(COLOUR)),
    "JPEG 2000 of three": (
        JPEG2000Lossless,
        imagecodecs.jpeg2k_encode(COLOUR, level=0, reversible=True, codecformat="j2k"),
    ),
    "HTJ2K of three": (HTJ2KLossless, imagecodecs.htj2k_encode(COLOUR, reversible=True)),
    "JPEG 2000 of a hundred": (JPEG2000Lossless, many_components(100)),
    "JPEG 2000 of 16384": (JPEG2000Lossless, many_components(16384)),
    "JPEG 2000 behind a decoy": (JPEG2000Lossless, behind_a_decoy(many_components(100))),
}


def refusal(folder: Path, syntax: UID, frame: bytes) -> tuple[str, dict[str, Any]]:
    """Read a series whose fourth slice is this frame, and return code and detail of its refusal."""
    with pytest.raises(InputRejected) as caught:
        series.read(with_frame(folder, syntax, frame))
    return caught.value.code, caught.value.detail


@pytest.mark.parametrize("kind", GROWN)
def test_a_frame_of_several_components_is_refused_undecoded(tmp_path: Path, kind: str) -> None:
    code, detail = refusal(tmp_path, *GROWN[kind])
    assert (code, detail["rows"], detail["columns"]) == ("pixel_bomb", ROWS, COLUMNS)
    assert detail["samples"] > 1


def test_run_lengths_take_no_more_than_the_header_says() -> None:
    # Two bytes become 128: 128 KiB grow to 8 MiB for a picture of 384 bytes.
    segment = b"\x81\x07" * 65536
    frame = decoders.RLE_HEADER.pack(2, 64, 64 + len(segment), *[0] * 13) + segment * 2
    tracemalloc.start()
    with pytest.raises((ValueError, RuntimeError)):
        decoders.decode(frame, RLELossless, (ROWS, COLUMNS))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MIB


def test_a_stream_that_declares_nothing_is_not_decoded(tmp_path: Path) -> None:
    code, detail = refusal(tmp_path, JPEG2000Lossless, b"\x01" * 64)
    assert (code, detail["error"]) == ("undecodable_pixels", "ValueError")


def test_a_jpeg_ls_stream_that_is_cut_off_takes_no_time() -> None:
    # Where runs of nothing but air are cut off, the codec counts to 2³² before it gives up: several seconds.
    whole = imagecodecs.jpegls_encode(np.full((64, 64), 24, np.uint16))
    preview = whole[:2] + b"\xff\xe1\x00\x06\xff\xd8\xff\xd9" + whole[2:]
    begun = time.process_time()
    for cut in (93, 94, 95):
        for stream in (whole[:cut], preview[: cut + 8]):
            with pytest.raises((ValueError, RuntimeError)):
                decoders.decode(stream, JPEGLSLossless, (64, 64))
    assert time.process_time() - begun < 1


def greedy(frame: bytes) -> np.ndarray[Any, Any]:
    """Decode as a codec does that takes memory bit by bit and tells in its own way that there is no more."""
    try:
        kept = [np.zeros(MIB, np.uint8) for _ in range(2048)]
    except MemoryError as error:
        raise imagecodecs.Jpeg2kError("opj_decode failed") from error
    return kept[0][: ROWS * COLUMNS].reshape(ROWS, COLUMNS)


@pytest.mark.parametrize(("codec", "code"), [(hoard, "pixel_bomb"), (greedy, "undecodable_pixels")])
def test_a_codec_that_takes_too_much_ends_one_series(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: Callable[[bytes], Any], code: str
) -> None:
    monkeypatch.setitem(decoders.DECODERS, JPEG2000Lossless, codec)
    assert refusal(tmp_path / "bomb", JPEG2000Lossless, many_components(1))[0] == code
    next_one = series.read(write(tmp_path / "next", slices(), RLELossless))
    assert next_one.volume.hu.shape == ct_files.Scan().shape


def test_many_cores_take_no_memory_for_their_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(frame: bytes, *how: Any) -> Any:
        time.sleep(0.05)
        return decode(frame, *how)

    decode, many = decoders.decode, replace(ct_files.Scan(), shape=(200, 16, 24))
    monkeypatch.setattr(decoders, "decode", slow)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(160))
    assert len(series.read(write(tmp_path, slices(many), RLELossless)).slices) == 200


def test_headers_that_fill_the_memory_end_one_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "LARGEST_HEADERS_BYTES", 16 * MIB)
    datasets = slices()
    for ds in datasets:
        ds.add_new(0x00091001, "OB", bytes(33 * MIB))
    with pytest.raises(InputRejected) as caught:
        series.read(write(tmp_path, datasets))
    assert caught.value.code == "pixel_bomb"


def test_memory_is_unbounded_again_after_the_block() -> None:
    with pytest.raises(InputRejected) as caught, memory.bounded(64 * MIB):
        np.zeros(1024 * MIB, np.uint8)
    assert (caught.value.code, caught.value.detail) == ("pixel_bomb", {"allowed_bytes": 64 * MIB})
    assert np.zeros(1024 * MIB, np.uint8).nbytes == 1024 * MIB


def test_a_frame_declares_rows_columns_and_components() -> None:
    assert codestream.declared_size(many_components(7)) == (ROWS, COLUMNS, 7)
    assert codestream.declared_size(imagecodecs.jpegls_encode(COLOUR)) == (ROWS, COLUMNS, 3)
