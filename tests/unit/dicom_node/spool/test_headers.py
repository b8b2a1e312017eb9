"""Headers read with every bound find what pydicom finds, and nothing in them can cost more than its share."""

import zlib
from io import BytesIO
from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dicom_node.errors import UnreadableInstance
from dicom_node.spool import elements, header, numbers
from dicom_node.spool.elements import Cut
from dicom_node.spool.image import Identity
from tests.support.hostile import BEFORE_UIDS, BEHIND_UIDS, nested, with_element
from tests.support.node_senders import ct_slice, encoded

NATIVE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)
# Sequences before, between and behind the UIDs; the first may have pixels of its own, as an icon has.
SEQUENCES = ("IconImageSequence", "ReferencedImageSequence", "ProcedureCodeSequence", "RequestAttributesSequence")


@st.composite
def data_sets(draw: st.DrawFn, depth: int = 0) -> Dataset:
    """A CT image, or an item, with sequences of all kinds of length."""
    ds = ct_slice(0) if not depth else Dataset()
    ds.SeriesDescription = draw(st.text("abc^\\ \0", max_size=20))
    for keyword in draw(st.sets(st.sampled_from(SEQUENCES), max_size=2 if depth < 3 else 0)):
        items = draw(st.lists(data_sets(depth=depth + 1), max_size=2))
        for item in items:
            item.is_undefined_length_sequence_item = draw(st.booleans())
        setattr(ds, keyword, items)
        ds[keyword].is_undefined_length = draw(st.booleans())
    return ds


@pytest.mark.filterwarnings("ignore::UserWarning")
@given(ds=data_sets(), syntax=st.sampled_from(NATIVE))
def test_what_is_found_is_what_pydicom_finds(ds: Dataset, syntax: UID) -> None:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = syntax.is_implicit_VR, syntax.is_little_endian
    write_dataset(buffer, ds)
    raw = buffer.getvalue()
    theirs = read_dataset(BytesIO(raw), syntax.is_implicit_VR, syntax.is_little_endian)
    ours = header.find(raw, 0, syntax, header.tags_of((*Identity.KEYWORDS, "Rows", "PatientName", "SliceThickness")))
    assert Identity.of(ours) == Identity(*(theirs[keyword].value for keyword in Identity.KEYWORDS))
    assert (ours.short("Rows"), ours.text("PatientName")) == (theirs.Rows, str(theirs.PatientName))
    assert ours.number("SliceThickness") is None


@pytest.mark.parametrize("where", [BEFORE_UIDS, BEHIND_UIDS])
def test_a_nest_of_sequences_is_refused_by_its_depth(where: bytes) -> None:
    assert find(nested(ct_slice(0), elements.DEEPEST, where)).uid("Modality") == "CT"
    for levels in (elements.DEEPEST + 1, 300, 100_000):
        with pytest.raises(UnreadableInstance) as refused:
            header.read(nested(ct_slice(0), levels, where), ExplicitVRLittleEndian, Identity.TAGS)
        assert refused.value.code == "nested_too_deep"


def find(raw: bytes) -> header.Header:
    return header.find(raw, 0, ExplicitVRLittleEndian, Identity.TAGS | header.tags_of(["Modality"]))


def test_a_header_cut_anywhere_is_told_from_a_whole_one() -> None:
    raw = encoded(ct_slice(0))
    pixels = raw.index(b"\xe0\x7f\x10\x00")
    for length in range(0, pixels, 7):
        with pytest.raises(Cut):
            find(raw[:length])
    assert Identity.of(find(raw[: pixels + 12])) == Identity.of(find(raw))


def test_what_inflates_without_measure_is_read_to_a_limit() -> None:
    ds = ct_slice(0)
    filler = b"\x09\0\x10\x10OB\0\0" + (1_000_000_000).to_bytes(4, "little") + bytes(100_000_000)
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bomb = compressor.compress(with_element(ds, b"\x09\0\x10\x10", filler)) + compressor.flush()
    with pytest.raises(UnreadableInstance):
        header.read(bomb, DeflatedExplicitVRLittleEndian, Identity.TAGS)


def test_millions_of_empty_elements_are_too_long_a_header() -> None:
    many = with_element(ct_slice(0), b"\x09\0\x10\x10", b"\x09\0\x10\x10LO\0\0" * 5_000_000)
    with pytest.raises(UnreadableInstance) as refused:
        header.read(many, ExplicitVRLittleEndian, Identity.TAGS)
    assert refused.value.code == "header_too_long"


@given(text=st.one_of(st.text(), st.floats().map(str), st.integers().map(str), st.just("9" * 60_000)))
def test_a_number_is_finite_and_bounded_or_none(text: str) -> None:
    number, count = numbers.finite(text), numbers.count(text, 1000)
    assert number is None or (isfinite(number) and abs(number) <= numbers.LARGEST)
    assert count is None or 0 <= count <= 1000


@pytest.mark.parametrize(
    ("text", "number"), [("1.25", 1.25), ("+1e3", 1000.0), (" -7 ", -7.0), ("", None), ("1,5", None)]
)
def test_decimal_strings_are_read_as_the_standard_writes_them(text: str, number: float | None) -> None:
    assert numbers.finite(text) == number


# Of a vendor, and Deflated Image Frame Compression, which is younger than our library.
@pytest.mark.parametrize("syntax", ["1.2.840.113619.5.99", "1.2.840.10008.1.2.8.1"])
def test_a_syntax_nobody_knows_has_a_header_all_the_same(syntax: str) -> None:
    raw = encoded(ct_slice(0))
    assert Identity.of(header.find(raw, 0, UID(syntax), Identity.TAGS)) == Identity.of(find(raw))
