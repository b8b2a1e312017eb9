"""Padding of images that store fewer bits than they allocate: by the word as it lies in the file, and as it is read.

pydicom, GDCM and DCMTK drop the bits above those stored first, and make water of 0x8000.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataelem import DataElement

from tests.support import ct_files
from worker.reading import series

WATER, BRIGHT = 0, 40


@dataclass(frozen=True)
class Padded:
    """Words of 16 bits that are padding, words that are none with their HU, and what the header says."""

    padding: tuple[int, ...]
    values: dict[int, int]
    attributes: dict[str, tuple[str, int]]
    signed: bool = True
    intercept: int = 0


CASES = {
    "outside what 12 signed bits hold, as a word": Padded(
        (0x8000,), {0x0000: WATER, 0x0028: BRIGHT, 0xFFFE: -2, 0x0FFE: -2}, {"PixelPaddingValue": ("US", 0x8000)}
    ),
    "outside what 12 signed bits hold, as a number": Padded(
        (0x8000,), {0x0000: WATER, 0x0028: BRIGHT, 0x1028: BRIGHT}, {"PixelPaddingValue": ("SS", -32768)}
    ),
    "a range that begins outside the stored bits": Padded(
        (0x8000, 0x9ABC, 0xF800, 0x0800, 0xF82F),
        {0x0000: WATER, 0x0028: BRIGHT, 0xFFFE: -2},
        {"PixelPaddingValue": ("SS", -32768), "PixelPaddingRangeLimit": ("SS", -2001)},
    ),
    "its sign extended, the values not": Padded(
        (0x0F38, 0xFF38), {0x0000: 1000, 0x0028: 1040}, {"PixelPaddingValue": ("SS", -200)}, intercept=1000
    ),
    "its sign not extended, the values' extended": Padded(
        (0x0F38, 0xFF38), {0x0000: 1000, 0x0028: 1040}, {"PixelPaddingValue": ("US", 0x0F38)}, intercept=1000
    ),
    "a range of signs not extended": Padded(
        (0x0F38, 0xFF38, 0xFF9C),
        {0x0000: 1000, 0x0028: 1040},
        {"PixelPaddingValue": ("US", 0x0F38), "PixelPaddingRangeLimit": ("US", 0x0F9C)},
        intercept=1000,
    ),
    "inside the stored bits": Padded((0x0028, 0x1028), {0x0000: WATER, 0x0029: 41}, {"PixelPaddingValue": ("SS", 40)}),
    "unsigned, outside the stored bits": Padded(
        (0x8000,), {0x0000: WATER, 0x0028: BRIGHT, 0x1028: BRIGHT}, {"PixelPaddingValue": ("US", 0x8000)}, signed=False
    ),
    "unsigned, a negative number": Padded(
        (0xF830,), {0x0400: WATER, 0x0830: 1072}, {"PixelPaddingValue": ("SS", -2000)}, signed=False, intercept=-1024
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_padding_is_air_and_all_else_keeps_its_value(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    words = np.resize(np.array([*case.padding, *case.values], "<u2"), (16, 24))
    hu = np.resize([*[-1024] * len(case.padding), *case.values.values()], (16, 24))
    datasets = ct_files.slices()
    for ds in datasets:
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 12, 11, int(case.signed)
        ds.RescaleIntercept, ds.PixelData = str(case.intercept), words.tobytes()
        for keyword, (kind, value) in case.attributes.items():
            ds.add(DataElement(keyword, kind, value))
    assert (series.read(ct_files.write(tmp_path, datasets)).volume.hu == hu).all()
