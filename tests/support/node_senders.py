"""Small CT images and ways to send them: well-behaved, and with requests that no honest sender would make."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE

from dicom_node.answers import KEPT_FOR_WHO_ASKED
from tests.support import services

ROOT = "1.2.826.0.1.3680043.10.1613"
PREAMBLE = b"\0" * 128 + b"DICM"
PATIENT = "CANARY^PATIENT"
# A node on a busy machine answers late, and is none the worse for it.
PATIENCE_S = 120


def ct_slice(number: int, series: int = 1, side: int = 8) -> Dataset:
    """Return slice ``number`` of an axial stack with 2 mm steps, (side, side) pixels of 16 bits."""
    ds = Dataset()
    ds.SOPClassUID, ds.Modality, ds.ImageType = CTImageStorage, "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{ROOT}.1", series_uid(series)
    ds.SOPInstanceUID = f"{series_uid(series)}.{number + 1}"
    ds.StudyDate, ds.AccessionNumber, ds.PatientName, ds.PatientID = "20260101", "CANARY-ACC", PATIENT, "CANARY-ID"
    ds.ImageOrientationPatient, ds.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 2 * number]
    ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.PhotometricInterpretation = side, side, 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    ds.PixelData = bytes((number + byte) % 251 for byte in range(2 * side)) * side
    ds["PixelData"].VR = "OW"
    return ds


def series_uid(series: int = 1) -> str:
    """Return the UID of the numbered series."""
    return f"{ROOT}.2.{series}"


def encoded(ds: Dataset) -> bytes:
    """Return the data set in Explicit VR Little Endian."""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    write_dataset(buffer, ds)
    return buffer.getvalue()


def header(sop_uid: str, sop_class: str = CTImageStorage) -> bytes:
    """Return preamble and file meta group as the node writes them."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, sop_uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.SendingApplicationEntityTitle, meta.ReceivingApplicationEntityTitle = "SCANNER", "SCLEROSCAN"
    buffer = DicomBytesIO()
    write_file_meta_info(buffer, meta, enforce_standard=True)
    return PREAMBLE + buffer.getvalue()


def write(folder: Path, datasets: list[Dataset]) -> list[Path]:
    """Write data sets as Part 10 files and return their paths in the same order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:04d}.dcm" for number in range(len(datasets))]
    for path, ds in zip(paths, datasets, strict=True):
        path.write_bytes(header(ds.SOPInstanceUID) + encoded(ds))
    return paths


def storescu(port: int, folder: Path, *options: str) -> subprocess.Popen[str]:
    """Begin to send a folder with DCMTK's storescu."""
    command = [services.program("storescu"), *options, "-aet", "SCANNER", "-aec", "SCLEROSCAN", "+sd"]
    return subprocess.Popen(
        [*command, "127.0.0.1", str(port), str(folder)],
        # Without it the sender waits 40 ms an image for the acknowledgement of its own segments.
        env=os.environ | {"TCP_NODELAY": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def storescu_succeeds(port: int, folder: Path, *options: str) -> None:
    """Send a folder with DCMTK's storescu; fail the test where it is not all accepted."""
    sender = storescu(port, folder, *options)
    said, _ = sender.communicate(timeout=600)
    assert sender.returncode == 0, said


@contextmanager
def association(
    port: int, sop_classes: tuple[str, ...] = (CTImageStorage,), syntax: str = ExplicitVRLittleEndian
) -> Iterator[Association]:
    """Hold an association that offers the classes in one transfer syntax."""
    entity = AE("SCANNER")
    entity.acse_timeout = entity.dimse_timeout = PATIENCE_S
    for sop_class in sop_classes:
        entity.add_requested_context(sop_class, syntax)
    opened = entity.associate("127.0.0.1", port, ae_title="SCLEROSCAN", evt_handlers=[KEPT_FOR_WHO_ASKED])
    assert opened.is_established
    try:
        yield opened
    finally:
        if opened.is_established:
            opened.release()


def send(opened: Association, dataset: bytes, sop_uid: str, sop_class: str = CTImageStorage) -> int:
    """Send bytes under any UIDs, over the first presentation context, and return the status of the answer."""
    status = answer_to(opened, dataset, sop_uid, sop_class)
    assert status is not None, "the node broke the association off"
    return status


def answer_to(opened: Association, dataset: bytes, sop_uid: str, sop_class: str = CTImageStorage) -> int | None:
    """Send as :func:`send` does; None where the association ended without an answer."""
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = sop_class, sop_uid
    request.DataSet = BytesIO(dataset)
    opened.dimse.send_msg(request, opened.accepted_contexts[0].context_id)
    _, answer = opened.dimse.get_msg(block=True)
    return None if answer is None else int(answer.Status)


def acknowledged_numbers(said: str) -> list[int]:
    """Which files, by the number that is their name, a verbose storescu saw accepted."""
    return [
        int(number)
        for number in re.findall(r"Sending file: \S*?(\d+)\.dcm(?:(?!Sending file)[\s\S])*?\(Success\)", said)
    ]
