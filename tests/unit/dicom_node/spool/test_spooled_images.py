"""What the spool and the registrar make of files that no well-behaved device would send."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian

from db.tracking import Arrival
from dicom_node.errors import UNPARSEABLE, OutOfSpace, ReceiveError
from dicom_node.scheduler import registrar
from dicom_node.spool import header, part10
from dicom_node.spool.elements import Cut
from dicom_node.spool.folder import Spool
from dicom_node.spool.image import Identity
from tests.support import node_senders
from tests.support.node_senders import ct_slice, encoded

WHOLE = encoded(ct_slice(0))
HEADER = node_senders.header(ct_slice(0).SOPInstanceUID)
PIXELS = WHOLE.index(b"\xe0\x7f\x10\x00")


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    one = Spool(tmp_path / "spool")
    one.prepare()
    return one


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A data set with up to six bytes of its header changed, cut anywhere."""
    content = bytearray(WHOLE[: draw(st.integers(0, len(WHOLE)))])
    for position, byte in draw(st.lists(st.tuples(st.integers(0, PIXELS), st.integers(0, 255)), max_size=6)):
        if position < len(content):
            content[position] = byte
    return bytes(content)


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(content=WHOLE[: WHOLE.index(b"\x28\x00\x11\x00") + 9])
@given(content=damaged())
def test_any_content_is_refused_or_becomes_a_storable_row(spool: Spool, content: bytes) -> None:
    path = spool.keep("1.2.3", HEADER, content)
    try:
        from_file = part10.read_file(path).header
        from_beginning = header.find(content, 0, ExplicitVRLittleEndian, Identity.TAGS)
        assert Identity.of(from_beginning) == Identity.of(from_file)
        assert as_pydicom_reads(path) in (None, Identity.of(from_file))
        arrival = registrar._arrival(path, spool)
    except (Cut, ReceiveError):
        return
    finally:
        path.unlink()
    assert_storable(arrival)


def as_pydicom_reads(path: Path) -> Identity | None:
    """The UIDs as a reader that knows nothing of ours finds them; None where it finds none, as under an unknown VR."""
    try:
        ds = dcmread(path, stop_before_pixels=True)
        return Identity(*(str(ds[keyword].value) for keyword in Identity.KEYWORDS))
    except UNPARSEABLE:
        return None


def assert_storable(arrival: Arrival) -> None:
    row = asdict(arrival)
    json.dumps(row.pop("plane"), allow_nan=False)
    texts = [value for value in row.values() if isinstance(value, str)]
    assert all("\0" not in text and text.encode() for text in texts if text)
    assert all(len(row[name]) <= 64 for name in ("sop_uid", "sop_class", "series_uid", "study_uid", "transfer_syntax"))


def test_files_wait_in_order_of_arrival_whatever_the_clock_does(spool: Spool) -> None:
    for age_s, content in enumerate((b"oldest", b"older")):
        path = spool.keep("1.2.3", b"", content)
        os.utime(path, (1_000_000 - age_s, 1_000_000 - age_s))
    spool.prepare()
    spool.keep("1.2.3", b"", b"newest")
    assert [path.read_bytes() for path in spool.waiting()] == [b"oldest", b"older", b"newest"]


def test_an_unwritable_incoming_folder_means_out_of_space(spool: Spool) -> None:
    (spool.root / "incoming").rmdir()
    (spool.root / "incoming").write_text("a file where the folder was")
    with pytest.raises(OutOfSpace):
        spool.keep("1.2.3", b"", b"x")
