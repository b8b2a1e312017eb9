"""What has to be known of a file to send it, and to ask afterwards whether it has arrived."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread

from worker.errors import PeerRefused, PeerUnreachable
from worker.reading.headers import MALFORMED

UIDS = ["StudyInstanceUID", "SeriesInstanceUID"]


@dataclass(frozen=True)
class DicomFile:
    """A DICOM file and its UIDs."""

    path: Path
    sop_class: str
    sop_uid: str
    transfer_syntax: str
    study_uid: str
    series_uid: str


def read(path: Path) -> DicomFile:
    """Read the UIDs of a file.

    Raises
    ------
    PeerRefused
        It is no DICOM file.
    PeerUnreachable
        The disk does not give it now.
    """
    with _failures_named(path):
        ds = dcmread(path, specific_tags=UIDS, stop_before_pixels=True)
        meta = ds.file_meta
        return DicomFile(
            path,
            str(meta.MediaStorageSOPClassUID),
            str(meta.MediaStorageSOPInstanceUID),
            str(meta.TransferSyntaxUID),
            str(ds.get("StudyInstanceUID", "")),
            str(ds.get("SeriesInstanceUID", "")),
        )


def require_frames(path: Path, most: int) -> None:
    """Raise PeerRefused where an object has more frames than its destination wants; nothing is left out of it."""
    with _failures_named(path):
        count = int(dcmread(path, specific_tags=["NumberOfFrames"], stop_before_pixels=True).get("NumberOfFrames") or 1)
    if count > most:
        raise PeerRefused(
            f"it has {count} frames and max_frames is {most}: it was not sent",
            code="too_many_frames",
            detail={"frames": count, "max_frames": most},
        )


@contextmanager
def _failures_named(path: Path) -> Iterator[None]:
    try:
        yield
    except (*MALFORMED, FileNotFoundError) as error:
        raise PeerRefused(f"{path.name} is no DICOM file that could be sent", code="unsendable_file") from error
    except OSError as error:
        raise PeerUnreachable(f"{path.name} cannot be read ({error.strerror})", code="file_unavailable") from error
