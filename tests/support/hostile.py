"""Data sets that no honest sender would make: nested without end, numbers that are none, texts without measure."""

from pydicom import Dataset

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
    tag = Dataset()
    setattr(tag, keyword, None)
    (element,) = tag
    name = element.tag.group.to_bytes(2, "little") + element.tag.element.to_bytes(2, "little")
    length = b"\0\0" + len(value).to_bytes(4, "little") if vr in {b"OB", b"UT"} else len(value).to_bytes(2, "little")
    return with_element(ds, name, name + vr + length + value)


def with_element(ds: Dataset, name: bytes, element: bytes) -> bytes:
    """Encode a data set with an element, given as bytes, at its place or instead of the one there."""
    tag = int.from_bytes(name[:2], "little") << 16 | int.from_bytes(name[2:], "little")
    before, after = Dataset(), Dataset()
    for other in ds:
        if other.tag != tag:
            (before if other.tag < tag else after).add(other)
    return encoded(before) + element + encoded(after)
