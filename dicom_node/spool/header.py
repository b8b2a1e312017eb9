"""Reads the values of an image's header within bounds: texts that any database takes, numbers that are finite."""

import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import BinaryIO, TypeVar

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import tag_for_keyword
from pydicom.uid import UID, ExplicitVRLittleEndian
from pydicom.valuerep import TEXT_VR_DELIMS

from dicom_node.errors import UNPARSEABLE, UnreadableInstance
from dicom_node.spool import numbers
from dicom_node.spool.elements import META_GROUP, Cut, Elements

CHARACTER_SET = 0x00080005
# How many bytes of a file are read, more only if the header is longer: a single slice's header ends within the first
# size, that of an image of thousands of frames within the last.
SIZES = (16_384, 1_048_576, 33_554_432)
# Longer values are cut here; PS3.5 6.2 allows 64 characters in the texts and 16 in the numbers that are read.
LONGEST_VALUE = 16_384
LONGEST_TEXT = 1_024
LARGEST_SHORT = 65_535
T = TypeVar("T")


@dataclass(frozen=True)
class Header:
    """Values of a header, by tag, as they were sent."""

    values: Mapping[int, bytes]
    is_little_endian: bool = True

    def uid(self, keyword: str) -> str:
        """Return a UID; empty where it is absent or not ASCII."""
        try:
            return self._value(keyword).rstrip(b"\0 ").decode("ascii")
        except UnicodeDecodeError:
            return ""

    def text(self, keyword: str) -> str:
        """Return a text, several values joined by backslashes; empty where it is absent.

        NUL, with which some devices pad, and halves of surrogate pairs are taken out: Postgres refuses both.
        """
        try:
            text = decode_bytes(self._value(keyword), self._encodings(), TEXT_VR_DELIMS)
        except UNPARSEABLE:
            return ""
        return text.replace("\0", "").encode(errors="replace").decode().strip()[:LONGEST_TEXT]

    def texts(self, keyword: str) -> tuple[str, ...]:
        """Return the values of a text attribute with several values; none where it is absent."""
        text = self.text(keyword)
        return tuple(part.strip() for part in text.split("\\")) if text else ()

    def number(self, keyword: str) -> float | None:
        """Return a number; None where it is absent or the text is not a number."""
        return numbers.finite(self._ascii(keyword))

    def numbers(self, keyword: str) -> tuple[float | None, ...]:
        """Return the numbers of an attribute with several values, None in place of each that is not a number."""
        text = self._ascii(keyword)
        return tuple(map(numbers.finite, text.split("\\"))) if text else ()

    def count(self, keyword: str, most: int) -> int | None:
        """Return a count; None where it is absent, not a whole number from 0 on, or more than ``most``."""
        return numbers.count(self._ascii(keyword), most)

    def short(self, keyword: str) -> int | None:
        """Return an unsigned number of 16 bits; None where it is absent or not such a number."""
        value = self._value(keyword)
        if len(value) == 2:
            return int.from_bytes(value, "little" if self.is_little_endian else "big")
        return self.count(keyword, LARGEST_SHORT)

    def _value(self, keyword: str) -> bytes:
        return self.values.get(tag_of(keyword), b"")

    def _ascii(self, keyword: str) -> str:
        return self._value(keyword).decode("ascii", errors="replace").strip("\0 ")

    def _encodings(self) -> list[str]:
        declared = self.values.get(CHARACTER_SET, b"").decode("ascii", errors="replace").rstrip("\0 ")
        return convert_encodings([one.strip() for one in declared.split("\\")])


@cache
def tag_of(keyword: str) -> int:
    """Return the tag of an attribute. Raises ValueError where there is none of that name."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"{keyword} is no attribute of DICOM")
    return tag


def tags_of(keywords: Iterable[str]) -> frozenset[int]:
    """Return the tags to be read for some attributes."""
    return frozenset({CHARACTER_SET, *map(tag_of, keywords)})


def find(content: bytes, at: int, syntax: UID, wanted: frozenset[int], is_whole: bool = False) -> Header:
    """Return the elements with the tags ``wanted`` from the data set that begins at ``at``.

    Raises
    ------
    Cut
        The content ends before the header does.
    UnreadableInstance
        The bytes cannot be a data set.
    """
    if content[at : at + 2] == META_GROUP:
        # PS3.5 7.1: no data set has group 0002. In our file these elements would be read as part of our meta group.
        raise UnreadableInstance("the data set begins with elements of the file meta group", "meta_group_in_data_set")
    if not syntax.is_transfer_syntax:
        # PS3.5 A.4: with any encapsulated syntax, known to pydicom or not, the header is Explicit VR Little Endian.
        syntax = ExplicitVRLittleEndian
    if syntax.is_deflated:
        content, is_whole = _inflate(content[at:])
        at = 0
    elements = Elements(content, syntax.is_implicit_VR, syntax.is_little_endian).before_pixels(at, is_whole)
    values = {e.tag: content[e.begin : min(e.end, e.begin + LONGEST_VALUE)] for e in elements if e.tag in wanted}
    return Header(values, syntax.is_little_endian)


def read(data_set: bytes, syntax: UID, wanted: frozenset[int]) -> Header:
    """Return the elements ``wanted`` of a data set in memory. Raises UnreadableInstance as :func:`find` does."""
    return grown(BytesIO(data_set), lambda content, is_whole: find(content, 0, syntax, wanted, is_whole))


def _inflate(content: bytes) -> tuple[bytes, bool]:
    """Inflate a data set up to the length of the longest header; return the bytes and whether they are all of it."""
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        return decompressor.decompress(content, SIZES[-1]), decompressor.eof
    except zlib.error as error:
        raise UnreadableInstance("the data set cannot be inflated") from error


def grown(source: BinaryIO, parse: Callable[[bytes, bool], T]) -> T:
    """Return what ``parse`` makes of the beginning of a source, which is read further only while ``parse`` raises Cut.

    Raises
    ------
    UnreadableInstance
        The source ends within its header, the header is too long, or it cannot be parsed.
    """
    for size in SIZES:
        source.seek(0)
        content = source.read(size)
        is_whole = len(content) < size
        with suppress(Cut):
            return parse(content, is_whole)
        if is_whole:
            raise UnreadableInstance("the data set ends within its header", "truncated")
    raise UnreadableInstance(f"the header is longer than {SIZES[-1]} bytes", "header_too_long")
