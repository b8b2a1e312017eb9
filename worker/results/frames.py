"""The frames of a SEG: of a BINARY one for each segment the planes that it is found on, of a LABELMAP every plane."""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.charset import convert_encodings
from pydicom.dataelem import RawDataElement
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.tag import Tag

PER_FRAME = Tag("PerFrameFunctionalGroupsSequence")
ITEM = b"\xfe\xff\x00\xe0"


@dataclass(frozen=True, eq=False)
class Mask:
    """Where a segment is: the voxels of ``labels``, uint8 (slices, rows, columns), that have this value."""

    labels: NDArray[np.uint8]
    value: int

    def __getitem__(self, index: int) -> NDArray[np.bool_]:
        """Return one slice."""
        pixels: NDArray[np.bool_] = self.labels[index] == self.value
        return pixels


def spread(result: Dataset, slices: Sequence[int], masks: Sequence[Mask], *, omit_empty: bool = True) -> None:
    """Put into ``result``, which has one frame for each plane, one for each segment and plane instead.

    Segments of one plane share its groups but for three numbers, so these are encoded once, in Explicit VR Little
    Endian; who reads them from ``result`` has them decoded.

    Parameters
    ----------
    slices
        For each frame that ``result`` has, the slice of the masks that it stands for.
    masks
        One for each segment, in the order of segment numbers.
    omit_empty
        Leave out frames without any voxel.
    """
    planes = [_Plane.of(groups) for groups in result.PerFrameFunctionalGroupsSequence]
    segments = [_segment(number) for number in range(1, len(masks) + 1)]
    groups: list[bytes] = []

    def drawn() -> Iterator[NDArray[np.bool_]]:
        for number, (mask, segment) in enumerate(zip(masks, segments, strict=True), start=1):
            for position, (index, plane) in enumerate(zip(slices, planes, strict=True), start=1):
                pixels = mask[index]
                if pixels.any() or not omit_empty:
                    groups.append(plane.groups(number, position, segment))
                    yield pixels

    result.add_new("PixelData", "OB", _packed(drawn()))
    result.NumberOfFrames = len(groups)
    value = b"".join(groups)
    result[PER_FRAME] = RawDataElement(PER_FRAME, "SQ", len(value), value, 0, False, True)
    # Else pydicom would decode what is encoded here before it writes.
    result.set_original_encoding(False, True, convert_encodings(result.SpecificCharacterSet))


def label(result: Dataset, slices: Sequence[int], masks: Sequence[Mask]) -> None:
    """Put labels into the frames that ``result`` has, one for each plane: the number of the segment, 0 for none.

    ``slices`` and ``masks`` are as :func:`spread` has them; no voxel is in two masks.
    """
    labels = masks[0].labels
    numbers = np.zeros(256, np.uint8)
    for number, mask in enumerate(masks, start=1):
        numbers[mask.value] = number
    result.add_new("PixelData", "OB", b"".join(numbers[labels[index]].tobytes() for index in slices))


@dataclass(frozen=True)
class _Plane:
    """The functional groups of a plane, encoded: those before its numbers, and its position, which comes after them."""

    derivation: bytes
    content: bytes
    position: bytes

    @classmethod
    def of(cls, groups: Dataset) -> "_Plane":
        parts = ("DerivationImageSequence", "FrameContentSequence", "PlanePositionSequence")
        derivation, content, position = (_encoded(groups, part) for part in parts)
        # The two dimension index values, UL, stand last.
        return cls(derivation, content[:-8], position)

    def groups(self, segment_number: int, position: int, segment: bytes) -> bytes:
        numbers = struct.pack("<2I", segment_number, position)
        item = self.derivation + self.content + numbers + self.position + segment
        return ITEM + struct.pack("<I", len(item)) + item


def _segment(number: int) -> bytes:
    identified = Dataset()
    identified.ReferencedSegmentNumber = number
    groups = Dataset()
    groups.SegmentIdentificationSequence = [identified]
    return _encoded(groups, "SegmentIdentificationSequence")


def _encoded(groups: Dataset, keyword: str) -> bytes:
    """Return one element as it stands in a file."""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    alone = Dataset()
    alone[keyword] = groups[keyword]
    write_dataset(buffer, alone)
    return buffer.getvalue()


def _packed(frames: Iterable[NDArray[np.bool_]]) -> bytes:
    """Return all pixels as one stream of bits, the first in the lowest bit; a frame may begin inside a byte."""
    packed = BytesIO()
    left = np.empty(0, np.bool_)
    for frame in frames:
        bits = np.concatenate([left, frame.ravel()])
        whole = len(bits) // 8 * 8
        packed.write(np.packbits(bits[:whole], bitorder="little").data)
        left = bits[whole:]
    packed.write(np.packbits(left, bitorder="little").data)
    return packed.getvalue()
