"""The spool: bytes as sent, durable before the sender hears of success.

incoming/   files being written; what a crash leaves here was never acknowledged
new/        durable, not yet registered: this folder is the registrar's queue
series/     registered, <series>/<instance>-<digest>.dcm
refused/    acknowledged, but unreadable to the registrar: kept for a person to look at
"""

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from dicom_node.errors import OutOfSpace, UnreadableInstance

# PS3.5 9.1: numeric components without leading zeros, joined by dots, 64 characters at most.
UID_GRAMMAR = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*")
UID_LENGTH = 64
DIGEST_IN_NAME = 16
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class SpooledName:
    """What makes a spooled file's name: the same image gets the same name however often it is sent."""

    sop_uid: str
    digest: str

    @classmethod
    def of(cls, sop_uid: str, dataset: bytes) -> "SpooledName":
        """Name a data set. Raises UnreadableInstance where the UID may not become part of a path."""
        check_uid(sop_uid)
        return cls(sop_uid, hashlib.sha256(dataset).hexdigest())

    @property
    def filename(self) -> str:
        """The file's name in ``new/`` and below ``series/``."""
        return f"{self.sop_uid}-{self.digest[:DIGEST_IN_NAME]}.dcm"


def check_uid(uid: str) -> None:
    """Raise UnreadableInstance unless ``uid`` follows the grammar of UIDs."""
    if len(uid) > UID_LENGTH or not UID_GRAMMAR.fullmatch(uid):
        raise UnreadableInstance("a UID does not follow the grammar of PS3.5 9.1")


class Spool:
    """One spool folder, readable by its owner alone.

    Parameters
    ----------
    root
        The folder; made where it is missing.
    min_free_mb
        Watermark: with less space free nothing more is taken.
    """

    def __init__(self, root: Path, min_free_mb: int = 0) -> None:
        self.root = root.absolute()
        self._min_free_mb = min_free_mb
        self._incoming, self.new, self._series, self._refused = (
            self.root / name for name in ("incoming", "new", "series", "refused")
        )

    def prepare(self) -> None:
        """Make the folders and clear what an earlier run was still writing."""
        for folder in (self._incoming, self.new, self._series, self._refused):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for leftover in self._incoming.iterdir():
            leftover.unlink()
        for folder in (self.root, self.root.parent):
            sync_folder(folder)

    def keep(self, name: SpooledName, header: bytes, dataset: bytes) -> Path:
        """Write one image durably into ``new/``; when this returns, no power cut loses it.

        Raises
        ------
        OutOfSpace
            The file system does not take it, or the watermark is reached.
        """
        self._check_watermark()
        part = self._incoming / f"{uuid4().hex}.part"
        target = self.new / name.filename
        try:
            with open(part, "xb", opener=_private) as file:
                file.write(header)
                file.write(dataset)
                file.flush()
                os.fsync(file.fileno())
            part.rename(target)
            sync_folder(self.new)
        except OSError as error:
            with suppress(OSError):
                part.unlink()
            raise OutOfSpace(f"the spool cannot be written: {errno.errorcode.get(error.errno or 0)}") from error
        return target

    def _check_watermark(self) -> None:
        try:
            free = shutil.disk_usage(self.new).free
        except OSError as error:
            raise OutOfSpace("the spool folder is gone") from error
        if free < self._min_free_mb * MEGABYTE:
            raise OutOfSpace(f"less than {self._min_free_mb} MB are free at the spool")

    def waiting(self) -> list[Path]:
        """Return the files in ``new/``, oldest first: of two versions of an image the later one has to win."""
        with os.scandir(self.new) as entries:
            found = [(entry.stat().st_mtime_ns, entry.path) for entry in entries if entry.is_file()]
        return [Path(path) for _, path in sorted(found)]

    def place(self, waiting: Path, series_uid: str) -> Path:
        """Return where a file of ``new/`` belongs once it is registered."""
        check_uid(series_uid)
        return self._series / series_uid / waiting.name

    def settle(self, waiting: Path, place: Path) -> None:
        """Move a registered file to its place."""
        place.parent.mkdir(mode=0o700, exist_ok=True)
        waiting.rename(place)

    def sync_settled(self, places: Iterable[Path]) -> None:
        """Make the moves to ``places`` survive a power cut."""
        for folder in (*{place.parent for place in places}, self._series, self.new):
            sync_folder(folder)

    def refuse(self, waiting: Path) -> Path:
        """Set an unreadable file aside and return where it lies now."""
        place = self._refused / waiting.name
        waiting.rename(place)
        return place


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
