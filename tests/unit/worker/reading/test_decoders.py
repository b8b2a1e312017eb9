"""Compressed frames: every encoding gives the values back, and none fills up what is cut off."""

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import (
    UID,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from tests.support.codestreams import LOSSLESS, LOSSY, Values, run_lengths
from worker.reading.pixels import decoders

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
