"""Finds folders, and the files of a folder that can be sent, because people leave other files beside their images."""

from pathlib import Path

from dicom_node.errors import UNPARSEABLE, ReceiveError
from dicom_node.spool import part10
from dicom_node.spool.image import check_uid

# Media Storage Directory Storage: a DICOMDIR, which lists images and is none.
DIRECTORY = "1.2.840.10008.1.3.10"


def dicom_below(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the DICOM files of a folder, with all below it, that can be sent, and the other files; each in order."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else [folder]
    sendable = [path for path in paths if _can_be_sent(path)]
    return sendable, sorted(set(paths) - set(sendable))


def existing(folder: Path) -> Path:
    """Return a folder, or where it is not made yet the nearest one above it that is there."""
    return next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.is_dir())


def _can_be_sent(path: Path) -> bool:
    try:
        meta = part10.read_meta(path)
        sop_class = meta.uid("MediaStorageSOPClassUID")
        for uid in (sop_class, meta.uid("MediaStorageSOPInstanceUID")):
            check_uid(uid)
    except (*UNPARSEABLE, ReceiveError):
        return False
    return sop_class != DIRECTORY
