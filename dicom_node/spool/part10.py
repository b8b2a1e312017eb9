"""Images that come as Part 10 files, or in answer to a request of ours: checked like those of C-STORE, then spooled."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID

from dicom_node.errors import UNPARSEABLE, UnreadableInstance, WrongSOPClass
from dicom_node.spool.folder import Spool, SpooledName
from dicom_node.spool.image import CT_CLASSES, check_uid

PREAMBLE = b"\0" * 128 + b"DICM"
# PS3.10 7.1: the element Group Length, whose value counts the bytes after it.
GROUP_LENGTH_ELEMENT = 12
META_GROUP = b"\x02\x00"
IDENTITY = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")


@dataclass(frozen=True)
class Way:
    """How images came: AE title, or another name of at most 16 characters, of the sender, and ours."""

    sender: str
    receiver: str


@dataclass(frozen=True)
class Image:
    """One image: its UIDs, its transfer syntax, and the data set byte for byte as sent."""

    sop_class: str
    sop_uid: str
    series_uid: str
    study_uid: str
    transfer_syntax: str
    dataset: bytes

    def require_study(self, study_uid: str | None) -> None:
        """Raise UnreadableInstance where a study is named and it is another than the image's."""
        if study_uid is not None and study_uid != self.study_uid:
            raise UnreadableInstance("the image belongs to another study than the request names")


def read(content: bytes) -> Image:
    """Read a Part 10 file, never its pixels.

    Raises
    ------
    UnreadableInstance
        It is none, lacks a UID, or its file meta group contradicts its data set.
    WrongSOPClass
        It is no CT image.
    """
    if content[128:132] != b"DICM":
        raise UnreadableInstance("no Part 10 file: the prefix DICM is missing")
    try:
        header = dcmread(BytesIO(content), stop_before_pixels=True, specific_tags=list(IDENTITY))
        start = len(PREAMBLE) + GROUP_LENGTH_ELEMENT + int(header.file_meta.FileMetaInformationGroupLength)
        syntax = str(header.file_meta.TransferSyntaxUID)
        declared = str(header.file_meta.MediaStorageSOPInstanceUID)
    except UNPARSEABLE as error:
        raise UnreadableInstance(f"the file cannot be parsed ({type(error).__name__})") from error
    found = check(header, syntax, content[start:])
    if declared != found.sop_uid:
        raise UnreadableInstance("the data set has another SOP Instance UID than its file meta group")
    return found


def check(header: Dataset, transfer_syntax: str, dataset: bytes) -> Image:
    """Check what a header says. Raises UnreadableInstance or WrongSOPClass as :func:`read` does."""
    if dataset[:2] == META_GROUP:
        # PS3.5 7.1: no data set has group 0002. In our file its elements would pass for our own meta group.
        raise UnreadableInstance("the data set begins with elements of the file meta group")
    missing = [keyword for keyword in IDENTITY if not header.get(keyword)]
    if missing:
        raise UnreadableInstance(f"the data set lacks {', '.join(missing)}")
    sop_class, sop_uid, series_uid, study_uid = (str(header[keyword].value) for keyword in IDENTITY)
    for uid in (sop_class, sop_uid, series_uid, study_uid, transfer_syntax):
        check_uid(uid)
    if sop_class not in CT_CLASSES:
        raise WrongSOPClass("no CT image")
    return Image(sop_class, sop_uid, series_uid, study_uid, transfer_syntax, dataset)


def keep(spool: Spool, image: Image, way: Way) -> None:
    """Make an image durable. Raises OutOfSpace where the spool does not take it."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(image.sop_class), UID(image.sop_uid)
    meta.TransferSyntaxUID = UID(image.transfer_syntax)
    meta.SendingApplicationEntityTitle, meta.ReceivingApplicationEntityTitle = way.sender, way.receiver
    buffer = DicomBytesIO()
    write_file_meta_info(buffer, meta, enforce_standard=True)
    spool.keep(SpooledName.for_dataset(image.sop_uid, image.dataset), PREAMBLE + buffer.getvalue(), image.dataset)


def spool_beside(root: Path, min_free_mb: int) -> Spool:
    """Return the listener's spool for another process: its folders are made where missing, and nothing is cleared."""
    spool = Spool(root, min_free_mb)
    for folder in ("incoming", "new", "series", "refused"):
        (spool.root / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
    return spool
