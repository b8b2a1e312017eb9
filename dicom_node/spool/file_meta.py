"""Writes preamble and file meta group of a received image, with both AE titles, so that rows can be rebuilt from files.

It is packed by hand because pydicom's writer takes longer than all our other work on an image; a test compares the two.
"""

from struct import pack

from pydicom.uid import PYDICOM_IMPLEMENTATION_UID

from dicom_node.errors import UnreadableInstance

PREAMBLE = b"\0" * 128 + b"DICM"
VERSION = b"\x00\x01"
IMPLEMENTATION = str(PYDICOM_IMPLEMENTATION_UID)


def write(sop_class: str, sop_uid: str, transfer_syntax: str, calling_ae: str, receiving_ae: str) -> bytes:
    """Return what precedes the data set in a Part 10 file (PS3.10 7.1), in Explicit VR Little Endian."""
    try:
        group = b"".join(
            (
                pack("<HH2sHL", 2, 0x0001, b"OB", 0, len(VERSION)) + VERSION,
                _element(0x0002, b"UI", sop_class),
                _element(0x0003, b"UI", sop_uid),
                _element(0x0010, b"UI", transfer_syntax),
                _element(0x0012, b"UI", IMPLEMENTATION),
                _element(0x0017, b"AE", calling_ae),
                _element(0x0018, b"AE", receiving_ae),
            )
        )
    except UnicodeEncodeError as error:
        raise UnreadableInstance("an AE title or a UID of the request is not ASCII") from error
    return PREAMBLE + pack("<HH2sHL", 2, 0x0000, b"UL", 4, len(group)) + group


def _element(element: int, vr: bytes, text: str) -> bytes:
    value = text.encode("ascii")
    value += (b"\0" if vr == b"UI" else b" ") * (len(value) % 2)
    return pack("<HH2sH", 2, element, vr, len(value)) + value
