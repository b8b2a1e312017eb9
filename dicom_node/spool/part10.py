"""Reads Part 10 files within bounds, and writes images as Part 10 files into the spool."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom.uid import UID

from dicom_node.errors import UnreadableInstance
from dicom_node.spool import file_meta, header
from dicom_node.spool.elements import Cut, Elements
from dicom_node.spool.folder import Spool
from dicom_node.spool.header import Header
from dicom_node.spool.image import Identity, check_uid
from dicom_node.spool.incoming import Incoming

PREAMBLE_LENGTH = 132
# The element File Meta Information Group Length (PS3.10 7.1): its value of four bytes counts the bytes after it.
GROUP_LENGTH = b"\x02\x00\x00\x00UL\x04\x00"


@dataclass(frozen=True)
class Part10:
    """What was read of one file: its meta group, its header, and the byte at which its data set begins."""

    meta: Header
    header: Header
    start: int

    @property
    def transfer_syntax(self) -> str:
        """Its Transfer Syntax UID."""
        return self.meta.uid("TransferSyntaxUID")

    def identity(self) -> Identity:
        """Return the UIDs that identify the image.

        Raises
        ------
        UnreadableInstance, WrongSOPClass
            A UID is absent or malformed, or the meta group contradicts the data set.
        """
        found = Identity.of(self.header)
        found.require_as_declared(self.meta.uid("MediaStorageSOPClassUID"), self.meta.uid("MediaStorageSOPInstanceUID"))
        return found


def read_file(path: Path, wanted: frozenset[int] = Identity.TAGS) -> Part10:
    """Read a file's meta group and the ``wanted`` elements of its data set. Raises UnreadableInstance or OSError."""
    with path.open("rb") as file:
        return header.grown(file, lambda content, is_whole: _parse(content, is_whole, wanted))


def read(content: bytes, wanted: frozenset[int] = Identity.TAGS) -> Part10:
    """Read a file that is in memory. Raises UnreadableInstance."""
    return header.grown(BytesIO(content), lambda beginning, is_whole: _parse(beginning, is_whole, wanted))


def read_meta(path: Path) -> Header:
    """Read a file's meta group alone. Raises UnreadableInstance or OSError."""
    with path.open("rb") as file:
        return header.grown(file, lambda content, _is_whole: meta_of(content)[0])


def identity_of(incoming: Incoming, syntax: UID) -> Identity:
    """Return the UIDs of an image that was received whole. Raises UnreadableInstance, or OSError."""
    try:
        return Identity.of(header.find(incoming.beginning, 0, syntax, Identity.TAGS))
    except Cut:
        return Identity.of(read_file(incoming.path).header)


def _parse(content: bytes, is_whole: bool, wanted: frozenset[int]) -> Part10:
    meta, start = meta_of(content)
    syntax = meta.uid("TransferSyntaxUID")
    check_uid(syntax)
    return Part10(meta, header.find(content, start, UID(syntax), wanted, is_whole), start)


def meta_of(content: bytes) -> tuple[Header, int]:
    """Return the file meta group and its end: by its group length, or after its last element where that is absent."""
    if content[128:PREAMBLE_LENGTH] != b"DICM":
        raise UnreadableInstance("no Part 10 file: the prefix DICM is missing", "no_part10")
    start = PREAMBLE_LENGTH + len(GROUP_LENGTH)
    if content[PREAMBLE_LENGTH:start] == GROUP_LENGTH:
        content = content[: start + 4 + int.from_bytes(content[start : start + 4], "little")]
    values, end = {}, PREAMBLE_LENGTH
    for element in Elements(content, is_implicit=False, is_little_endian=True).of_meta_group(PREAMBLE_LENGTH):
        values[element.tag], end = content[element.begin : element.end], element.end
    return Header(values), end


@dataclass(frozen=True)
class Way:
    """How images came: the AE title of the sender, or STOW-RS or WADO-RS in its place, and our AE title."""

    sender: str
    receiver: str


@dataclass(frozen=True)
class Image:
    """One CT image: the UIDs that identify it, its transfer syntax, and its data set byte for byte as sent."""

    identity: Identity
    transfer_syntax: str
    dataset: bytes


def image_of_file(content: bytes) -> Image:
    """Return the CT image of a Part 10 file. Raises UnreadableInstance or WrongSOPClass where it is none."""
    found = read(content)
    identity = found.identity()
    identity.require_ct()
    return Image(identity, found.transfer_syntax, content[found.start :])


def image_of_data_set(dataset: bytes, transfer_syntax: str) -> Image:
    """Return the CT image of a bare data set. Raises UnreadableInstance or WrongSOPClass where it is none."""
    check_uid(transfer_syntax)
    identity = Identity.of(header.read(dataset, UID(transfer_syntax), Identity.TAGS))
    identity.require_ct()
    return Image(identity, transfer_syntax, dataset)


def keep(spool: Spool, image: Image, way: Way) -> None:
    """Write an image durably into the spool. Raises OutOfSpace where the spool does not take it."""
    own = image.identity
    meta = file_meta.write(own.sop_class, own.sop_uid, image.transfer_syntax, way.sender, way.receiver)
    spool.keep(own.sop_uid, meta, image.dataset)
