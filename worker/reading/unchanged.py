"""Checks that the files of a series are still, byte for byte, what was received."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from worker.errors import ImageChanged

# PS3.10 7.1: preamble, DICM, and the element Group Length (0002,0000), whose value counts the bytes of the meta group
# after it.
PREFIX, GROUP_LENGTH = b"DICM", b"\x02\x00\x00\x00UL\x04\x00"
PREAMBLE_BYTES, HEAD_BYTES = 128, 144
MOST_NAMED = 20


@dataclass(frozen=True)
class ReceivedFile:
    """A Part 10 file and the SHA-256 that its data set had, without the meta group, when it was received."""

    path: Path
    digest: str


def require(files: Sequence[ReceivedFile]) -> None:
    """Compare every file with what was received.

    Raises
    ------
    ImageChanged
        At least one is another.
    OSError
        The disk failed, or a file is gone.
    """
    # Hashing releases the interpreter lock, so threads use all cores.
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="digests") as threads:
        found = threads.map(_dataset_digest, [file.path for file in files])
        changed = [file.path.name for file, digest in zip(files, found, strict=True) if digest != file.digest]
    if changed:
        raise ImageChanged(
            f"{len(changed)} files are not what was received: look at the disk, send the series again, retry the job",
            detail={"files": changed[:MOST_NAMED], "count": len(changed)},
        )


def _dataset_digest(path: Path) -> str | None:
    """Return the SHA-256 of the data set; None where the file has no meta group before it."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        if len(head) < HEAD_BYTES or not head.startswith(PREFIX + GROUP_LENGTH, PREAMBLE_BYTES):
            return None
        file.seek(HEAD_BYTES + int.from_bytes(head[-4:], "little"))
        return hashlib.file_digest(file, "sha256").hexdigest()
