"""What is packed by hand for speed is what the general writers make."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import CTImageStorage, JPEG2000Lossless
from pynetdicom.dimse_messages import C_ECHO_RQ, C_STORE_RQ, C_STORE_RSP
from pynetdicom.dimse_primitives import C_ECHO, C_STORE
from pynetdicom.pdu import P_DATA_TF

from dicom_node.errors import UnreadableInstance
from dicom_node.scp import commands
from dicom_node.scp.commands import StoreRequest
from dicom_node.spool import file_meta

LARGEST_PDU = 16_384


@pytest.mark.parametrize("sop_uid", ["1.2.3", "1.2.34", "1." * 31 + "1"])
@pytest.mark.parametrize("status", [0x0000, 0xA700])
def test_an_answer_is_the_one_that_pynetdicom_sends(sop_uid: str, status: int) -> None:
    answer = C_STORE()
    answer.MessageIDBeingRespondedTo, answer.Status = 77, status
    answer.AffectedSOPClassUID, answer.AffectedSOPInstanceUID = CTImageStorage, sop_uid
    message = C_STORE_RSP()
    message.primitive_to_message(answer)
    (primitive,) = message.encode_msg(5, LARGEST_PDU)
    request = StoreRequest(5, 77, CTImageStorage, sop_uid)
    assert commands.write_answer(request, status) == P_DATA_TF(primitive).encode()


def command_of(message: C_STORE_RQ | C_ECHO_RQ, request: C_STORE | C_ECHO) -> bytes:
    """The encoded command set of a request."""
    message.primitive_to_message(request)
    first = next(iter(message.encode_msg(1, LARGEST_PDU)))
    return bytes(first.presentation_data_value_list[0][1][1:])


def store_command() -> bytes:
    request = C_STORE()
    request.MessageID, request.Priority = 9, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = CTImageStorage, "1.2.3"
    request.DataSet = BytesIO(b"anything")
    return command_of(C_STORE_RQ(), request)


def test_a_request_of_pynetdicom_is_read() -> None:
    assert commands.read_request(store_command(), 3) == StoreRequest(3, 9, CTImageStorage, "1.2.3")


def test_a_command_that_is_no_c_store_request_is_left_to_others() -> None:
    echo = C_ECHO()
    echo.MessageID, echo.AffectedSOPClassUID = 1, "1.2.840.10008.1.1"
    assert commands.read_request(command_of(C_ECHO_RQ(), echo), 1) is None


@given(st.data())
def test_no_command_set_however_damaged_raises(data: st.DataObject) -> None:
    whole = bytearray(store_command())
    for position in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=6)):
        whole[position] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    found = commands.read_request(cut, 1)
    assert found is None or commands.write_answer(found, 0)


@pytest.mark.parametrize("titles", [("SCANNER", "SCLEROSCAN"), ("ODD", "EVEN"), ("A" * 16, "B")])
def test_a_file_meta_group_is_the_one_that_pydicom_writes(titles: tuple[str, str]) -> None:
    expected = FileMetaDataset()
    expected.MediaStorageSOPClassUID, expected.MediaStorageSOPInstanceUID = CTImageStorage, "1.2.34"
    expected.TransferSyntaxUID, expected.ImplementationClassUID = JPEG2000Lossless, file_meta.IMPLEMENTATION
    expected.SendingApplicationEntityTitle, expected.ReceivingApplicationEntityTitle = titles
    expected.FileMetaInformationVersion, expected.FileMetaInformationGroupLength = b"\0\1", 0
    buffer = DicomBytesIO()
    write_file_meta_info(buffer, expected, enforce_standard=False)
    written = file_meta.write(CTImageStorage, "1.2.34", JPEG2000Lossless, *titles)
    assert written == b"\0" * 128 + b"DICM" + buffer.getvalue()


def test_an_ae_title_that_is_not_ascii_is_refused() -> None:
    with pytest.raises(UnreadableInstance):
        file_meta.write(CTImageStorage, "1.2.3", JPEG2000Lossless, "SCÄNNER", "SCLEROSCAN")
