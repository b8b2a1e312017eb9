"""Compressed frames: every encoding gives the values back, and none fills up what is cut off."""

import re
from contextlib import suppress
from functools import partial
from unittest.mock import Mock

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import (
    UID,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from tests.support.codestreams import LOSSLESS, LOSSY, Values, run_lengths
from worker.reading.pixels import decoders, jpeg_tail

SHAPE = (40, 56)


def picture(bits: int = 12) -> Values:
    """Noise on a ramp: no row repeats another."""
    dice = np.random.default_rng(1)
    ramp = np.add.outer(np.arange(SHAPE[0]), np.arange(SHAPE[1])) * (2**bits // 100)
    return np.clip(ramp + dice.integers(0, 2 ** (bits - 3), SHAPE), 0, 2**bits - 1).astype(np.uint16)


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda uid: uid.name)
def test_a_lossless_frame_gives_its_values_back(syntax: UID) -> None:
    assert np.array_equal(decoders.decode(LOSSLESS[syntax](picture()), syntax, SHAPE), picture())


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless, RLELossless], ids=lambda uid: uid.name)
def test_all_sixteen_bits_come_back(syntax: UID) -> None:
    assert np.array_equal(decoders.decode(LOSSLESS[syntax](picture(16)), syntax, SHAPE), picture(16))


def test_signed_values_come_back_as_their_bits() -> None:
    signed = picture().astype(np.int16) - 2000
    frame = imagecodecs.jpeg2k_encode(signed, level=0, reversible=True, codecformat="j2k")
    assert np.array_equal(decoders.decode(frame, JPEG2000Lossless, SHAPE).view(np.int16), signed)


@pytest.mark.parametrize("flat", [0, 24, 40])
def test_a_picture_that_ends_in_equal_rows_is_no_less_exact(flat: int) -> None:
    values = picture()
    values[SHAPE[0] - flat :] = 7
    frame = LOSSLESS[JPEGLosslessSV1](values)
    assert np.array_equal(decoders.decode(frame, JPEGLosslessSV1, SHAPE), values)


@pytest.mark.parametrize("syntax", {**LOSSLESS, **LOSSY}, ids=lambda uid: uid.name)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_frame_cut_anywhere_is_refused(syntax: UID, data: st.DataObject) -> None:
    frame = {**LOSSLESS, **LOSSY}[syntax](picture())
    # The last bytes are end markers and padding; without a byte of data nothing is lost.
    cut = frame[: data.draw(st.integers(0, len(frame) - 8))]
    with pytest.raises((ValueError, RuntimeError, IndexError, decoders.struct.error)):
        decoders.decode(cut, syntax, SHAPE)


JPEGS = [JPEGLossless, JPEGLosslessSV1, JPEGBaseline8Bit, JPEGExtended12Bit]


@pytest.mark.parametrize("syntax", JPEGS, ids=lambda uid: uid.name)
def test_fill_before_and_zeros_after_the_end_marker_are_legal(syntax: UID) -> None:
    frame = {**LOSSLESS, **LOSSY}[syntax](picture())
    filled = frame.removesuffix(b"\xff\xd9") + b"\xff\xff\xff\xd9\0"
    assert np.array_equal(decoders.decode(filled, syntax, SHAPE), decoders.decode(frame, syntax, SHAPE))


TAILS = {"c": b"c", "90": b"\x90", "zeros": bytes(300), "any bytes": bytes(range(1, 200)), "end again": b"cc\xff\xd9"}


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("syntax", {**LOSSLESS, **LOSSY}, ids=lambda uid: uid.name)
def test_what_stands_behind_the_end_of_a_frame_is_passed_over(syntax: UID, tail: str) -> None:
    frame = {**LOSSLESS, **LOSSY}[syntax](picture())
    assert np.array_equal(decoders.decode(frame + TAILS[tail], syntax, SHAPE), decoders.decode(frame, syntax, SHAPE))


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("syntax", JPEGS, ids=lambda uid: uid.name)
def test_a_jpeg_without_its_end_is_cut_off_whatever_follows(syntax: UID, tail: str) -> None:
    frame = {**LOSSLESS, **LOSSY}[syntax](picture())
    with pytest.raises(ValueError, match=r"cut off|lacks data"):
        decoders.decode(frame[: len(frame) // 2] + TAILS[tail].removesuffix(decoders.JPEG_END), syntax, SHAPE)


def test_the_end_of_a_preview_is_not_that_of_the_picture() -> None:
    frame = LOSSLESS[JPEGLosslessSV1](picture())
    preview = b"\xff\xe1\x00\x08\xff\xd8\xff\xd9cc"
    with_preview = frame[:2] + preview + frame[2:]
    assert np.array_equal(decoders.decode(with_preview + b"c", JPEGLosslessSV1, SHAPE), picture())
    with pytest.raises(ValueError, match="cut off"):
        decoders.decode(with_preview.removesuffix(b"\xff\xd9") + b"c", JPEGLosslessSV1, SHAPE)


@pytest.mark.parametrize("syntax", JPEGS, ids=lambda uid: uid.name)
@pytest.mark.parametrize("kept", [0.5, 0.8, 0.95])
def test_a_jpeg_that_lost_data_before_its_end_is_refused(syntax: UID, kept: float) -> None:
    frame = {**LOSSLESS, **LOSSY}[syntax](picture())
    with pytest.raises(ValueError, match="lacks data"):
        decoders.decode(frame[: int(len(frame) * kept)] + b"\xff\xd9", syntax, SHAPE)


def flat(rows: int) -> Values:
    """A picture whose last rows are all alike."""
    values = picture()
    values[SHAPE[0] - rows :] = 7
    return values


def padded() -> Values:
    """A picture as scanners make them: a circle of tissue and noise, and one value around it."""
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    circle = (rows - SHAPE[0] / 2) ** 2 + (columns - SHAPE[1] / 2) ** 2 < (SHAPE[0] / 2) ** 2
    return np.where(circle, picture(), 48).astype(np.uint16)


J2KS = [JPEG2000Lossless, HTJ2KLossless]


@pytest.mark.parametrize("syntax", [JPEGLSLossless, *J2KS], ids=lambda uid: uid.name)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_stream_that_is_ended_before_its_time_is_refused(syntax: UID, data: st.DataObject) -> None:
    frame = LOSSLESS[syntax](picture())
    cut = frame[: data.draw(st.integers(200, len(frame) - 3))].rstrip(b"\xff")
    with pytest.raises((ValueError, RuntimeError)):
        decoders.decode(cut + decoders.JPEG_END, syntax, SHAPE)


@pytest.mark.parametrize("syntax", J2KS, ids=lambda uid: uid.name)
def test_a_tile_part_without_a_length_needs_the_end_marker(syntax: UID) -> None:
    frame = bytearray(LOSSLESS[syntax](picture()))
    length_at = frame.index(b"\xff\x90\0\x0a") + 6
    frame[length_at : length_at + 4] = bytes(4)
    assert np.array_equal(decoders.decode(bytes(frame) + b"\0", syntax, SHAPE), picture())
    # At some of these places, ends of packets, the codec finds nothing wrong.
    for end in range(length_at + 8, len(frame) - 1):
        with pytest.raises((ValueError, RuntimeError)):
            decoders.decode(bytes(frame[:end]), syntax, SHAPE)


IN_PARTS = {"tiles": {"tile": (32, 32)}, "resolutions": {"tilepart": 1}, "both": {"tile": (32, 32), "tilepart": 1}}


@pytest.mark.parametrize("ended", [b"", decoders.JPEG_END], ids=["as cut", "ended"])
@pytest.mark.parametrize("kind", IN_PARTS)
def test_a_stream_that_lacks_tile_parts_is_refused(kind: str, ended: bytes) -> None:
    frame = imagecodecs.htj2k_encode(picture(), reversible=True, **IN_PARTS[kind])
    assert np.array_equal(decoders.decode(frame, HTJ2KLossless, SHAPE), picture())
    # Behind each tile-part the codec takes two bytes more for the end.
    for end in range(frame.index(b"\xff\x90\0\x0a"), len(frame) - 2):
        with pytest.raises((ValueError, RuntimeError)):
            decoders.decode(frame[:end] + ended, HTJ2KLossless, SHAPE)


def test_tile_parts_that_declare_no_number_need_the_end_marker() -> None:
    frame = bytearray(imagecodecs.htj2k_encode(picture(), reversible=True, tilepart=1))
    starts = [found.start() for found in re.finditer(b"\xff\x90\0\x0a", frame)]
    for start in starts:
        frame[start + 11] = 0
    assert np.array_equal(decoders.decode(bytes(frame), HTJ2KLossless, SHAPE), picture())
    for start in starts[1:]:
        with pytest.raises(ValueError, match="cut off"):
            decoders.decode(bytes(frame[: start + 2]), HTJ2KLossless, SHAPE)


def test_tile_parts_that_are_whole_need_no_end_marker() -> None:
    frame = imagecodecs.htj2k_encode(picture(), reversible=True, tile=(32, 32))
    assert np.array_equal(decoders.decode(frame[:-2] + bytes(2), HTJ2KLossless, SHAPE), picture())


PICTURES = {"noise": picture(), "padded": padded(), **{f"{rows} flat rows": flat(rows) for rows in (1, 2, 9)}}


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("kind", PICTURES)
def test_no_byte_may_be_lost_before_the_end_marker(kind: str, bits: int, predictor: int) -> None:
    values = PICTURES[kind]
    frame = imagecodecs.jpeg_encode(values, lossless=True, bitspersample=bits, predictor=predictor)
    syntax, data = JPEGLosslessSV1 if predictor == 1 else JPEGLossless, frame.removesuffix(decoders.JPEG_END)
    assert np.array_equal(decoders.decode(frame, syntax, SHAPE), values)
    for lost in range(3, 300):
        with pytest.raises(ValueError, match="lacks data"):
            decoders.decode(data[:-lost] + decoders.JPEG_END, syntax, SHAPE)
    # The last byte, of ones and stuffed with zeros, may hold padding alone.
    for lost in (1, 2):
        with suppress(ValueError):
            assert np.array_equal(decoders.decode(data[:-lost] + decoders.JPEG_END, syntax, SHAPE), values)


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 99), spread=st.sampled_from([1, 2, 3, 300]), predictor=st.integers(1, 7), data=st.data())
def test_a_dull_picture_is_given_back_or_refused(seed: int, spread: int, predictor: int, data: st.DataObject) -> None:
    values = np.random.default_rng(seed).integers(0, spread, SHAPE).astype(np.uint16)
    frame = imagecodecs.jpeg_encode(values, lossless=True, bitspersample=16, predictor=predictor)
    scan = frame.index(b"\xff\xda") + 10
    cut = frame[: data.draw(st.integers(scan, len(frame) - 2))] + decoders.JPEG_END
    with suppress(ValueError):
        assert np.array_equal(decoders.decode(cut, JPEGLossless, SHAPE), values)


@pytest.mark.parametrize("columns", range(50, 58))
def test_flat_rows_that_lack_a_byte_are_not_proven(columns: int) -> None:
    # Their bits repeat, so that they are found again where the stream ends too early.
    values = np.random.default_rng(1).integers(0, 300, (SHAPE[0], columns)).astype(np.uint16)
    values[-2:] = 7
    frame = imagecodecs.jpeg_encode(values, lossless=True, bitspersample=16)
    assert jpeg_tail.proves_whole(frame, values)
    cut = frame[:-3] + decoders.JPEG_END
    assert not jpeg_tail.proves_whole(cut, imagecodecs.jpeg_decode(cut))


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 99), spread=st.sampled_from([1, 2, 3, 300]), put_in=st.binary(max_size=8), data=st.data())
def test_no_proof_contradicts_decoding_again(seed: int, spread: int, put_in: bytes, data: st.DataObject) -> None:
    values = np.random.default_rng(seed).integers(0, spread, SHAPE).astype(np.uint16)
    frame = imagecodecs.jpeg_encode(values, lossless=True, bitspersample=16, predictor=data.draw(st.integers(1, 7)))
    at = data.draw(st.integers(frame.index(b"\xff\xda") + 10, len(frame) - 2))
    left_out = data.draw(st.integers(0, 8))
    damaged = frame[:at] + put_in.replace(b"\xff", b"") + frame[at + left_out : -2].lstrip(b"\xff") + decoders.JPEG_END
    # What was put in may be a marker.
    with suppress(RuntimeError):
        decoded = imagecodecs.jpeg_decode(damaged)
        if jpeg_tail.proves_whole(damaged, decoded):
            decoders._require_whole(damaged, decoded)


ENCODERS = {
    **{f"libjpeg, predictor {p}": partial(imagecodecs.jpeg_encode, lossless=True, predictor=p) for p in range(1, 8)},
    "liblj92": partial(imagecodecs.ljpeg_encode),
}


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("kind", ["noise", "padded"])
def test_a_whole_lossless_jpeg_is_decoded_once(
    kind: str, bits: int, encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = Mock(side_effect=imagecodecs.jpeg_decode)
    monkeypatch.setattr(imagecodecs, "jpeg_decode", decode)
    frame = ENCODERS[encoder](PICTURES[kind], bitspersample=bits)
    assert np.array_equal(decoders.decode(frame, JPEGLossless, SHAPE), PICTURES[kind])
    assert decode.call_count == 1


@pytest.mark.parametrize("syntax", {**LOSSLESS, **LOSSY}, ids=lambda uid: uid.name)
def test_a_frame_of_another_size_is_refused(syntax: UID) -> None:
    with pytest.raises(ValueError, match=r"decoded|segment"):
        decoders.decode({**LOSSLESS, **LOSSY}[syntax](picture()), syntax, (SHAPE[1], SHAPE[0] + 1))


@pytest.mark.parametrize("segments", [0, 3, 16, 2**31])
def test_run_lengths_not_of_one_or_two_segments_are_refused(segments: int) -> None:
    frame = bytearray(run_lengths(picture()))
    frame[:4] = segments.to_bytes(4, "little")
    with pytest.raises(ValueError, match="segment"):
        decoders.decode(bytes(frame), RLELossless, SHAPE)
