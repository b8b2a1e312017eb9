"""What is an image that may be kept: its classes, its UIDs, and how they are read, the pixels never touched."""

import re
from dataclasses import dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import cast

from pydicom import dcmread
from pydicom.filereader import data_element_generator
from pydicom.tag import BaseTag
from pydicom.uid import UID, CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage

from dicom_node.errors import UNPARSEABLE, UnreadableInstance

# PS3.5 9.1: numeric components without leading zeros, joined by dots, 64 characters at most.
UID_GRAMMAR = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*")
UID_LENGTH = 64
CT_CLASSES = (CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
META_GROUP = b"\x02\x00"
LAST_TAG = 0x0020000E
DIGITS_AND_DOTS = frozenset("0123456789.")
TAGS: list[BaseTag | int] = [0x00080016, 0x00080018, 0x0020000D, LAST_TAG]


@dataclass(frozen=True)
class Identity:
    """Whose image it is; the fields in the order of their tags."""

    SOPClassUID: str
    SOPInstanceUID: str
    StudyInstanceUID: str
    SeriesInstanceUID: str


def check_uid(uid: str) -> None:
    """Raise UnreadableInstance unless ``uid`` follows the grammar of UIDs."""
    if len(uid) > UID_LENGTH or not UID_GRAMMAR.fullmatch(uid):
        raise UnreadableInstance("a UID does not follow the grammar of PS3.5 9.1")


def read(beginning: bytes, transfer_syntax: UID) -> Identity | None:
    """Return the UIDs; None where the beginning does not show all of them.

    Raises
    ------
    UnreadableInstance
        No data set begins so.
    """
    if beginning[:2] == META_GROUP:
        # PS3.5 7.1: no data set has group 0002. In our file its elements would pass for our own meta group.
        raise UnreadableInstance("the data set begins with elements of the file meta group")
    if transfer_syntax.is_deflated:
        return None
    ended = False

    def is_behind(tag: BaseTag, _vr: str | None, _length: int) -> bool:
        nonlocal ended
        ended = int(tag) > LAST_TAG
        return ended

    encoding = transfer_syntax.is_implicit_VR, transfer_syntax.is_little_endian
    try:
        elements = data_element_generator(BytesIO(beginning), *encoding, stop_when=is_behind, specific_tags=TAGS)
        values = {int(element.tag): cast(bytes | None, element.value) or b"" for element in elements}
        # A value may be cut where the beginning ends: it is whole only if something was found behind it.
        found = [values[int(tag)].rstrip(b"\0 ").decode("ascii") for tag in TAGS]
    except UNPARSEABLE:
        return None
    # What is no UID is read again from the file, as pydicom reads it.
    are_uids = all(DIGITS_AND_DOTS.issuperset(uid) for uid in found)
    return Identity(*found) if ended and are_uids else None


def read_file(path: Path) -> Identity:
    """Return the UIDs of a whole file.

    Raises
    ------
    UnreadableInstance
        It cannot be parsed, or one is absent.
    """
    keywords = [field.name for field in fields(Identity)]
    try:
        found = dcmread(path, stop_before_pixels=True, specific_tags=list(keywords))
        missing = [keyword for keyword in keywords if keyword not in found]
        values = {keyword: str(found[keyword].value or "") for keyword in keywords if keyword in found}
    except UNPARSEABLE as error:
        raise UnreadableInstance(f"the data set cannot be parsed ({type(error).__name__})") from error
    if missing:
        raise UnreadableInstance(f"the data set lacks {', '.join(missing)}")
    return Identity(**values)
