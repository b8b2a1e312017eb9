"""Compressed frames of a few bytes that want much memory, and series that hold one."""

import struct
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.uid import UID, RLELossless

from tests.support import ct_files

# A picture of the size of the slices of :mod:`tests.support.ct_files`.
GREY = np.zeros(ct_files.Scan().shape[1:], np.uint16)


def many_components(count: int) -> bytes:
    """Return a JPEG 2000 codestream of a few bytes that declares so many components."""
    frame = imagecodecs.jpeg2k_encode(GREY, level=0, reversible=True, codecformat="j2k")
    (length,) = struct.unpack_from(">H", frame, 4)
    fixed, component = frame[6:40], frame[42:45]
    assert length == 41
    return (
        frame[:4]
        + struct.pack(">H", 38 + 3 * count)
        + fixed
        + struct.pack(">H", count)
        + component * count
        + frame[45:]
    )


def hoard(frame: bytes) -> NDArray[np.uint8]:
    """Decode as a codec does that a frame brought to take 2 GiB: more than the heap of any process holds free.

    Less would not do: a block that fits into what the process freed before takes nothing from the system.
    """
    return np.zeros(2**31, np.uint8)[: GREY.size].reshape(GREY.shape)


def with_frame(folder: Path, syntax: UID, frame: bytes) -> list[Path]:
    """Write a small series whose fourth slice is this frame."""
    datasets = ct_files.slices()
    paths = ct_files.write(folder, datasets, RLELossless)
    datasets[3].PixelData = encapsulate([frame])
    datasets[3].file_meta.TransferSyntaxUID = syntax
    datasets[3].save_as(paths[3], enforce_file_format=True)
    return paths
