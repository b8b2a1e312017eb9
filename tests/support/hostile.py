"""Data sets that no honest sender would make: nested without end, numbers that are none, texts without measure."""

from collections.abc import Mapping

from pydicom import Dataset
from pydicom.datadict import dictionary_VR

from dicom_node.spool.header import tag_of
from tests.support.node_senders import encoded

UNDEFINED = b"\xff\xff\xff\xff"
ITEM, ITEM_END, SEQUENCE_END = (b"\xfe\xff" + number + b"\xe0" for number in (b"\x00", b"\x0d", b"\xdd"))
# (0008,1140) before, (0040,0275) behind the UIDs.
BEFORE_UIDS, BEHIND_UIDS = b"\x08\x00\x40\x11", b"\x40\x00\x75\x02"


def nested(ds: Dataset, levels: int = 300, tag: bytes = BEHIND_UIDS) -> bytes:
    """Encode a data set with sequences of undefined length, each within the one before."""
    opened, closed = tag + b"SQ\0\0" + UNDEFINED + ITEM + UNDEFINED, ITEM_END + b"\0" * 4 + SEQUENCE_END + b"\0" * 4
    return with_element(ds, tag, opened * levels + closed * levels)


def with_value(ds: Dataset, keyword: str, vr: bytes, value: bytes) -> bytes:
    """Encode a data set with one element that pydicom itself would not write."""
    name = name_of(keyword)
    long = vr in {b"OB", b"UT"}
    length = b"\0\0" + len(value).to_bytes(4, "little") if long else len(value).to_bytes(2, "little")
    return with_element(ds, name, name + vr + length + value)


def with_values(ds: Dataset, values: Mapping[str, bytes]) -> bytes:
    """Encode a data set with these bytes for the values of some attributes."""
    elements = {}
    for keyword, value in values.items():
        vr, name = dictionary_VR(keyword).encode("ascii"), name_of(keyword)
        elements[name] = name + vr + len(value).to_bytes(2, "little") + value
    return with_elements(ds, elements)


def name_of(keyword: str) -> bytes:
    """Return the bytes of an attribute's tag."""
    tag = tag_of(keyword)
    return (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little")


def with_element(ds: Dataset, name: bytes, element: bytes) -> bytes:
    """Encode a data set with an element, given as bytes, at its place or instead of the one there."""
    return with_elements(ds, {name: element})


def with_elements(ds: Dataset, elements: Mapping[bytes, bytes]) -> bytes:
    """Encode a data set with elements, given as bytes by the bytes of their tags."""
    own = {int(element.tag): encoded(Dataset({element.tag: element})) for element in ds}
    new = {int.from_bytes(n[:2], "little") << 16 | int.from_bytes(n[2:], "little"): e for n, e in elements.items()}
    return b"".join(element for _, element in sorted((own | new).items()))
