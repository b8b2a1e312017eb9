"""Finds the elements at the top of a data set, without recursion and within bounds, whatever bytes were sent."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from dicom_node.errors import UnreadableInstance

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
LONG_VRS = frozenset(vr.encode("ascii") for vr in EXPLICIT_VR_LENGTH_32)
# With these VRs a value of undefined length holds items (PS3.5 6.2.2), with all others fragments of pixel data; in
# Implicit VR, which names no VR, it holds items.
SEQUENCES = frozenset({b"SQ", b"UN", b""})
# No object of the Standard nests sequences nearly as deep.
DEEPEST = 32
SHORTEST = 8
META_GROUP = b"\x02\x00"
# How the header of an element is read: with a VR, without one, and the length behind a VR that has a long one.
LITTLE = tuple(struct.Struct(layout).unpack_from for layout in ("<HH2sH", "<HHL", "<L"))
BIG = tuple(struct.Struct(layout).unpack_from for layout in (">HH2sH", ">HHL", ">L"))


class Cut(Exception):
    """The bytes at hand end before the header does."""


class Element(NamedTuple):
    """One element of defined length, and where its value begins and ends."""

    tag: int
    begin: int
    end: int


@dataclass(frozen=True)
class _Level:
    """A sequence or item that is being read; ``end`` is None where its length is undefined and a delimiter ends it."""

    is_item: bool
    end: int | None = None
    is_implicit: bool = True
    has_fragments: bool = False


class Elements:
    """Reads the elements of one data set, or one file meta group.

    Parameters
    ----------
    content
        The bytes that hold the data set, or the beginning of them.
    is_implicit
        Whether the transfer syntax says Implicit VR. Where the first element looks otherwise, the element counts, as
        in pydicom.
    is_little_endian
        The order of bytes.
    """

    def __init__(self, content: bytes, is_implicit: bool, is_little_endian: bool) -> None:
        self._content = content
        self._is_implicit = is_implicit
        self._explicit_header, self._implicit_header, self._length = LITTLE if is_little_endian else BIG

    def before_pixels(self, at: int, is_whole: bool) -> Iterator[Element]:
        """Yield the elements of defined length from ``at`` up to the pixels; sequences are passed over.

        Raises
        ------
        Cut
            The content ends before the pixels, and it is only a beginning, or ends within an element.
        UnreadableInstance
            Sequences are nested more than ``DEEPEST`` deep, or hold something other than items.
        """
        is_implicit = self._looks_implicit(at, self._is_implicit)
        try:
            while len(self._content) - at >= SHORTEST:
                tag, vr, length, at = self._header(at, is_implicit)
                if tag in PIXELS or tag == ITEM_END:
                    return
                if length == UNDEFINED:
                    at = self._behind(at, vr, is_implicit)
                    continue
                yield self._element(tag, at, length)
                at += length
        except struct.error:
            raise Cut from None
        if not is_whole:
            raise Cut

    def of_meta_group(self, at: int) -> Iterator[Element]:
        """Yield the elements of the file meta group, which begins at ``at``. Raises Cut where the content ends."""
        try:
            while self._content[at : at + 2] == META_GROUP:
                tag, _, length, at = self._header(at, is_implicit=False)
                yield self._element(tag, at, length)
                at += length
        except struct.error:
            raise Cut from None

    def _element(self, tag: int, at: int, length: int) -> Element:
        if at + length > len(self._content):
            raise Cut
        return Element(tag, at, at + length)

    def _looks_implicit(self, at: int, otherwise: bool) -> bool:
        vr = self._content[at + 4 : at + 6]
        return otherwise if len(vr) < 2 else not (vr.isalpha() and vr.isupper())

    def _header(self, at: int, is_implicit: bool) -> tuple[int, bytes, int, int]:
        """Return (tag, VR or empty bytes in Implicit VR, length, where the value begins)."""
        group, element, vr, length = self._explicit_header(self._content, at)
        tag = group << 16 | element
        # Some devices change to Implicit VR in the middle of a data set.
        if is_implicit or not b"AA" <= vr <= b"ZZ":
            return tag, b"", self._implicit_header(self._content, at)[2], at + 8
        if vr in LONG_VRS:
            return tag, vr, self._length(self._content, at + 8)[0], at + 12
        return tag, vr, length, at + 8

    def _behind(self, at: int, vr: bytes, is_implicit: bool) -> int:
        """Return the end of a value of undefined length that begins at ``at``."""
        levels = [_Level(is_item=False, is_implicit=is_implicit, has_fragments=vr not in SEQUENCES)]
        while levels:
            if len(levels) > 2 * DEEPEST:
                raise UnreadableInstance(f"sequences are nested more than {DEEPEST} deep", code="nested_too_deep")
            level = levels[-1]
            if level.end is not None and at >= level.end:
                levels.pop()
            elif level.is_item:
                at = self._step_in_item(at, levels)
            else:
                at = self._step_in_sequence(at, levels)
        return at

    def _step_in_item(self, at: int, levels: list[_Level]) -> int:
        is_implicit = levels[-1].is_implicit
        tag, vr, length, at = self._header(at, is_implicit)
        if tag == ITEM_END:
            levels.pop()
        elif length == UNDEFINED:
            levels.append(_Level(is_item=False, is_implicit=is_implicit, has_fragments=vr not in SEQUENCES))
        else:
            at += length
        return at

    def _step_in_sequence(self, at: int, levels: list[_Level]) -> int:
        level = levels[-1]
        tag, _, length, at = self._header(at, is_implicit=True)
        if tag == SEQUENCE_END:
            levels.pop()
        elif tag != ITEM:
            raise UnreadableInstance("a sequence holds what is no item", code="unparseable")
        elif level.has_fragments and length != UNDEFINED:
            at += length
        else:
            end = None if length == UNDEFINED else at + length
            levels.append(_Level(is_item=True, end=end, is_implicit=self._looks_implicit(at, level.is_implicit)))
        return at
