"""What a file is known by: its size and its SHA-256, with and without its file meta group."""

import hashlib
from dataclasses import dataclass
from typing import BinaryIO

from dicom_node.errors import UNPARSEABLE, ReceiveError
from dicom_node.spool import part10
from dicom_node.spool.elements import Cut

PIECE = 1_048_576


@dataclass(frozen=True)
class Fingerprint:
    """Size in bytes, the SHA-256 of the whole file and, of a Part 10 file, that of its data set."""

    size_bytes: int
    whole: str
    dataset: str | None

    def is_of(self, digest: str) -> bool:
        """Whether a digest is that of the data set, as rows of images have it, or that of the whole file."""
        return digest in {self.whole, self.dataset}


def of(file: BinaryIO) -> Fingerprint:
    """Read a file to its end. Raises OSError."""
    head = file.read(PIECE)
    start = _start_of_data_set(head)
    size, whole, dataset = len(head), hashlib.sha256(head), hashlib.sha256(head[start:])
    while piece := file.read(PIECE):
        size += len(piece)
        whole.update(piece)
        dataset.update(piece)
    return Fingerprint(size, whole.hexdigest(), dataset.hexdigest() if start else None)


def _start_of_data_set(head: bytes) -> int:
    """Return where the data set begins; 0 where there is no file meta group before it."""
    try:
        return part10.meta_of(head)[1]
    except (Cut, ReceiveError, *UNPARSEABLE):
        return 0
