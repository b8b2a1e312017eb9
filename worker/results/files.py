"""Writes result objects to files, each once and whole."""

import hashlib
import os
import re
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image
from pydicom import Dataset, dcmwrite


@dataclass(frozen=True)
class WrittenFile:
    """A file of a job: ``kind`` is a :class:`db.states.OutputKind`; ``sop_uid`` None for a picture.

    ``role`` tells the several SEGs and SRs of a job apart.
    """

    kind: str
    path: Path
    digest: str
    sop_uid: str | None = None
    role: str | None = None


def write_object(folder: Path, kind: str, dataset: Dataset, role: str | None = None) -> WrittenFile:
    """Write a DICOM object as ``<kind>.dcm``; one with a role as that says, its words joined by hyphens."""
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    name = re.sub("[^a-z0-9]+", "-", role) if role else kind
    path = folder / f"{name}.dcm"
    return WrittenFile(kind, path, _write(path, buffer.getbuffer()), str(dataset.SOPInstanceUID), role)


def write_picture(folder: Path, name: str, picture: Image.Image) -> WrittenFile:
    """Write a picture as ``<name>.png``."""
    buffer = BytesIO()
    # The best level takes nine times as long and saves a twentieth.
    picture.save(buffer, "PNG", compress_level=3)
    path = folder / f"{name}.png"
    return WrittenFile("picture", path, _write(path, buffer.getbuffer()))


def _write(path: Path, content: memoryview) -> str:
    """Write durably under a temporary name, then rename; return the SHA-256."""
    _make_folder(path.parent)
    part = path.with_suffix(f".{os.getpid()}.part")
    with open(part, "wb", opener=_private) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    _sync_folder(path.parent)
    return hashlib.sha256(content).hexdigest()


def _make_folder(folder: Path) -> None:
    """Make a folder, with those above it, so that it survives a power cut."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    _sync_folder(folder.parent)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
