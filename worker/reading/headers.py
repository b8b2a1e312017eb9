"""Reads the header of one file, or refuses it, and reads values of a header without trusting them."""

import logging
import math
import struct
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from pydicom import Dataset, config, dcmread
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from worker.errors import InputRejected

NATIVE = frozenset(
    {ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian}
)
logger = logging.getLogger(__name__)
IDENTITY = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
# Groups of the modules that result objects repeat: identity, patient, trial, acquisition, relationship, image.
DECODED_GROUPS = frozenset({0x0008, 0x0010, 0x0012, 0x0018, 0x0020, 0x0028})
# Far more than one slice of the largest accepted size with its header has, and little enough for any machine.
LARGEST_INFLATED_BYTES = 64 * 2**20
DEFLATED_CHUNK_BYTES = 2**16
META_START_BYTES = 1024
EITHER_SHORT = "US or SS"
# What pydicom raises on files that are not DICOM, end early or hold other values than their VR allows. Trouble of
# the disk (OSError) is not among them: it passes, so it is no reason to refuse a series for good.
MALFORMED = (
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    KeyError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


@contextmanager
def quiet() -> Iterator[None]:
    """Turn pydicom's warnings of malformed values into one log line that counts them by kind.

    The text of such a warning, which pydicom logs as well, repeats the value, which may be a name or a birth date.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        config.logger.addFilter(_says_nothing)
        try:
            yield
        finally:
            config.logger.removeFilter(_says_nothing)
    if caught:
        kinds = Counter(warning.category.__name__ for warning in caught)
        logger.info("odd values in headers", extra={"warnings": dict(kinds)})


@dataclass(frozen=True, eq=False)
class SourceFile:
    """A Part 10 file that was opened: its header without pixels, and the byte at which its pixel element begins.

    ``pixels_at`` counts in the file, or in the inflated data set where the file is deflated.
    """

    path: Path
    header: Dataset
    pixels_at: int

    @property
    def syntax(self) -> UID:
        """Transfer syntax; empty where the file names none."""
        return UID(self.header.file_meta.get("TransferSyntaxUID") or "")

    @property
    def is_native(self) -> bool:
        """Whether pixels are stored as numbers, not as a compressed stream."""
        return self.syntax in NATIVE

    @property
    def encoding(self) -> tuple[bool, bool]:
        """Whether VRs are implicit, and whether numbers are little endian: as found, not as declared."""
        implicit, little = self.header.original_encoding
        return bool(implicit), bool(little)


def read(path: Path) -> SourceFile:
    """Read the data set of a Part 10 file up to its pixels.

    Raises
    ------
    InputRejected
        ``unreadable_file``, ``no_identity``, ``pixel_bomb``.
    OSError
        The disk failed; the file may be sound.
    """
    try:
        with path.open("rb") as file:
            _require_bounded_inflation(path, file)
            header = dcmread(file, stop_before_pixels=True)
            pixels_at = file.tell()
    except MALFORMED as error:
        raise InputRejected(
            "A file of the series is no readable DICOM file, or ends in its header; send the series again.",
            code="unreadable_file",
            detail={"file": path.name, "error": type(error).__name__},
        ) from error
    _require_identity(header, path)
    return SourceFile(path, header, pixels_at)


def text(header: Dataset, keyword: str) -> str:
    """Return a value as text, several values joined by a backslash; empty where it is absent or malformed."""
    try:
        value = _value(header, keyword)
    except MALFORMED:
        return ""
    if value is None:
        return ""
    return (value if isinstance(value, str) else "\\".join(map(str, _several(value)))).strip()


def numbers(header: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """Return ``count`` finite numbers; None where they are absent, malformed or of another count."""
    try:
        values = tuple(map(float, _several(_value(header, keyword))))
    except MALFORMED:
        return None
    return values if len(values) == count and all(map(math.isfinite, values)) else None


def number(header: Dataset, keyword: str) -> float | None:
    """Return one finite number; None where it is absent or malformed."""
    found = numbers(header, keyword, 1)
    return found[0] if found else None


def image_type(header: Dataset) -> tuple[str, ...]:
    """Return the values of ImageType in capitals, without padding."""
    return tuple(part.strip().upper() for part in text(header, "ImageType").split("\\") if part.strip())


def _value(header: Dataset, keyword: str) -> Any:
    element = header.get_item(_tag(keyword))
    if not isinstance(element, RawDataElement):
        return None if element is None else element.value
    kind = element.is_implicit_VR, element.is_little_endian
    return _converted(element.tag, element.VR, element.value, *kind)


@lru_cache
def _tag(keyword: str) -> BaseTag:
    return Tag(keyword)


# Cached, because the slices of a series repeat most values.
@lru_cache(maxsize=8192)
def _converted(tag: BaseTag, vr: str | None, value: bytes | None, implicit: bool, little: bool) -> Any:
    raw = RawDataElement(tag, vr, len(value or b""), value, 0, implicit, little)
    element = convert_raw_data_element(raw)
    if element.VR == EITHER_SHORT and len(element.value) == 2:
        # Implicit VR does not say whether it is US or SS, so pydicom leaves the bytes; here they are read as unsigned.
        return int.from_bytes(element.value, "little")
    return element.value


def _says_nothing(_: logging.LogRecord) -> bool:
    return False


def _several(value: Any) -> list[Any]:
    return list(value) if isinstance(value, MultiValue | list | tuple) else [value]


def decode(header: Dataset) -> None:
    """Decode the values that result objects repeat, so that malformed ones are logged here and warn no later stage."""
    for tag in list(header.keys()):
        if tag.group in DECODED_GROUPS:
            try:
                header[tag]
            except MALFORMED:
                logger.info("a value of a header cannot be decoded", extra={"tag": str(tag)})


def _require_identity(header: Dataset, path: Path) -> None:
    # Some writers put the UIDs only into the meta group. They are not taken from there: archives go by the data set.
    absent = [k for k in IDENTITY if not text(header, k) or "\\" in text(header, k)]
    if absent:
        raise InputRejected(
            f"A file of the series does not say its {', '.join(absent)}, so a result could not refer to it; "
            "send the images as the scanner or the archive holds them.",
            code="no_identity",
            detail={"file": path.name, "absent": absent},
        )


def _require_bounded_inflation(path: Path, file: BinaryIO) -> None:
    """Refuse a deflated data set that would fill the memory before its header could be looked at."""
    # The transfer syntax stands near the start; most files need no second look at their meta group.
    start = file.read(META_START_BYTES)
    file.seek(0)
    if DeflatedExplicitVRLittleEndian.encode() not in start:
        return
    meta = read_file_meta_info(path)
    # Preamble, DICM, the group length's own element of 12 bytes, then as many bytes as it says (PS3.10 7.1).
    file.seek(128 + 4 + 12 + int(meta.get("FileMetaInformationGroupLength") or 0))
    if _inflates_beyond(file, LARGEST_INFLATED_BYTES):
        raise InputRejected(
            "A deflated file of the series grows beyond any CT slice; send the images uncompressed.",
            code="pixel_bomb",
            detail={"file": path.name, "largest_bytes": LARGEST_INFLATED_BYTES},
        )
    file.seek(0)


def _inflates_beyond(file: BinaryIO, limit: int) -> bool:
    inflated, stream = 0, zlib.decompressobj(-zlib.MAX_WBITS)
    while chunk := stream.unconsumed_tail or file.read(DEFLATED_CHUNK_BYTES):
        inflated += len(stream.decompress(chunk, DEFLATED_CHUNK_BYTES * 16))
        if inflated > limit:
            return True
    return False
