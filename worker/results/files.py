"""Result objects → files, written once and whole."""

import hashlib
import os
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image
from pydicom import Dataset, dcmwrite


@dataclass(frozen=True)
class WrittenFile:
    """A file of a job: ``kind`` is ``seg``, ``sr`` or ``picture``; ``sop_uid`` None for a picture."""

    kind: str
    path: Path
    digest: str
    sop_uid: str | None = None


def write_object(folder: Path, kind: str, dataset: Dataset) -> WrittenFile:
    """Write a DICOM object as ``<kind>.dcm``."""
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    path = folder / f"{kind}.dcm"
    return WrittenFile(kind, path, _write(path, buffer.getvalue()), str(dataset.SOPInstanceUID))


def write_picture(folder: Path, name: str, picture: Image.Image) -> WrittenFile:
    """Write a picture as ``<name>.png``."""
    buffer = BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    path = folder / f"{name}.png"
    return WrittenFile("picture", path, _write(path, buffer.getvalue()))


def _write(path: Path, content: bytes) -> str:
    """Write durably under a temporary name, then rename; return the SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return hashlib.sha256(content).hexdigest()
