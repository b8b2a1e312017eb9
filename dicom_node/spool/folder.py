"""The spool: images byte for byte as sent, durable before the sender is answered with success.

incoming/       files being written, each locked by its writer; what a crash leaves here was never acknowledged
new/            durable, not yet registered: this folder is the registrar's queue, <instance>-<order>.dcm
series/         registered, <series>/<instance>-<digest>.dcm
refused/        acknowledged, but unreadable to the registrar, or of another study than its series: <name>.<code>.dcm
refusals/       how many images were refused, see :mod:`dicom_node.spool.refusals`
associations/   one small file for each open association, and in broken-off/ one for each series that was cut off, see
                :mod:`dicom_node.spool.associations`
epoch           number of starts of the machine, and its boot id: so the order of arrival does not depend on the clock
"""

import errno
import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from dicom_node.errors import OutOfSpace, ReceiveError
from dicom_node.spool.image import check_uid
from dicom_node.spool.incoming import PIECE, Incoming, is_being_written
from dicom_node.spool.refusals import Refusals

DIGEST_IN_NAME = 16
WAITING_NAME = re.compile(r".+-([0-9]{28})\.dcm")
# Short enough that a file name with the longest code appended fits every file system.
LONGEST_STEM = 200
MEGABYTE = 1_000_000
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# A younger file may not be locked yet: its writer makes it first and locks it a moment later.
LEFTOVER_S = 60.0


@dataclass(frozen=True)
class SpooledName:
    """The name of a spooled file, made of UID and digest: the same image gets the same name each time it is sent."""

    sop_uid: str
    digest: str

    @classmethod
    def of_file(cls, sop_uid: str, path: Path, start: int) -> "SpooledName":
        """Return the name for a file whose data set begins at byte ``start``.

        Raises UnreadableInstance where the UID is not fit for a path, OSError where the file cannot be read.
        """
        check_uid(sop_uid)
        with path.open("rb") as file:
            file.seek(start)
            return cls(sop_uid, hashlib.file_digest(file, "sha256").hexdigest())

    @property
    def filename(self) -> str:
        """The file's name below ``series/``."""
        return f"{self.sop_uid}-{self.digest[:DIGEST_IN_NAME]}.dcm"


class Spool:
    """One spool folder, readable by its owner alone.

    Parameters
    ----------
    root
        The folder; made where it is missing.
    min_free_mb
        Watermark: with less space free, images are refused.
    low_free_mb
        An earlier watermark: with less space free no new association is accepted.
    """

    def __init__(self, root: Path, min_free_mb: int = 0, low_free_mb: int = 0) -> None:
        self.root = root.absolute()
        self._min_free_mb, self._low_free_mb = min_free_mb, low_free_mb
        self._incoming, self.new, self._series, self.refused, self.associations = (
            self.root / name for name in ("incoming", "new", "series", "refused", "associations")
        )
        self.refusals = Refusals(self.root / "refusals")
        self._epoch: int | None = None

    def prepare(self) -> None:
        """Make the folders, and begin a new epoch if the machine has restarted; any process may call it at any time."""
        for folder in (self._incoming, self.new, self._series, self.refused, self.associations):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._begin_epoch()
        for folder in (self.root, self.root.parent):
            sync_folder(folder)

    def _begin_epoch(self) -> None:
        number, boot = self._read_epoch()
        if boot == _boot():
            return
        part = self.root / f"epoch.{uuid4().hex}.part"
        with open(part, "xb", opener=_private) as file:
            file.write(f"{number + 1} {_boot()}".encode())
            file.flush()
            os.fsync(file.fileno())
        part.rename(self.root / "epoch")
        self._epoch = None

    def _read_epoch(self) -> tuple[int, str]:
        try:
            number, _, boot = (self.root / "epoch").read_text().partition(" ")
        except FileNotFoundError:
            return 0, ""
        return int(number), boot

    def clear_leftovers(self) -> int:
        """Remove files that processes were writing when they were killed, and return how many.

        A file that is locked, or young, is being written by another process and stays.
        """
        cleared = 0
        for path in self._incoming.iterdir():
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > LEFTOVER_S and not is_being_written(path):
                    path.unlink()
                    cleared += 1
        return cleared

    def begin(self, header: bytes, buffer: bytearray) -> Incoming:
        """Begin a file for one image; the caller ends it with :meth:`keep_incoming` or with ``discard``."""
        path = self._incoming / f"{uuid4().hex}.part"
        return Incoming(path, header, buffer, lambda: self._check_free(self._min_free_mb))

    def complete(self, incoming: Incoming) -> None:
        """Write the rest of a received image to its file. Raises OutOfSpace."""
        with _written():
            incoming.complete()

    def keep_incoming(self, incoming: Incoming, sop_uid: str) -> Path:
        """Move a completed image durably into ``new/``; when this returns, no power cut loses it.

        Raises
        ------
        UnreadableInstance
            The UID is not fit for a path.
        OutOfSpace
            The file system does not take it, or the watermark is reached.
        """
        check_uid(sop_uid)
        self._check_free(self._min_free_mb)
        with _written():
            incoming.sync()
            target = self.new / f"{sop_uid}-{self._order()}.dcm"
            incoming.path.rename(target)
            sync_folder(self.new)
        return target

    def keep(self, sop_uid: str, header: bytes, dataset: bytes) -> Path:
        """Write an image that is in memory durably into ``new/``. Raises OutOfSpace as :meth:`keep_incoming` does."""
        incoming = self.begin(header, bytearray(PIECE))
        incoming.extend(dataset)
        try:
            self.complete(incoming)
            return self.keep_incoming(incoming, sop_uid)
        except ReceiveError:
            incoming.discard()
            raise

    def _order(self) -> str:
        """Return digits that grow from image to image, over all processes, even where the clock is set back."""
        if self._epoch is None:
            self._epoch, _ = self._read_epoch()
        return f"{self._epoch:08d}{time.monotonic_ns():020d}"

    def check_room_for_more(self) -> None:
        """Raise OutOfSpace where so little space is left that no new association should be accepted."""
        self._check_free(self._low_free_mb)

    def _check_free(self, least_mb: int) -> None:
        if self._free_mb() < least_mb:
            raise OutOfSpace(f"less than {least_mb} MB are free at the spool")

    def _free_mb(self) -> float:
        try:
            return shutil.disk_usage(self.new).free / MEGABYTE
        except OSError as error:
            raise OutOfSpace("the spool folder is gone") from error

    def waiting(self) -> list[Path]:
        """Return the files in ``new/``, oldest first: of two versions of an image the one that came later counts."""
        with os.scandir(self.new) as entries:
            found = [(_order_of(entry.name), entry.path) for entry in entries if entry.is_file()]
        return [Path(path) for _, path in sorted(found)]

    def settled_path(self, name: SpooledName, series_uid: str) -> Path:
        """Return where a file of ``new/`` lies once it is registered."""
        check_uid(series_uid)
        return self._series / series_uid / name.filename

    def encloses(self, path: Path) -> bool:
        """Whether a path, with all links followed, lies in this spool."""
        try:
            return path.resolve().is_relative_to(self.root.resolve())
        except RuntimeError:
            # Links that lead to each other lead nowhere.
            return False

    def holds(self, series_uid: str) -> bool:
        """Whether the spool holds registered images of a series."""
        return (self._series / series_uid).is_dir()

    def settle(self, waiting: Path, target: Path) -> None:
        """Move a registered file to its :meth:`settled_path`, unless another scheduler has just done so."""
        target.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            waiting.rename(target)
        except FileNotFoundError:
            if not target.exists():
                raise

    def sync_settled(self, settled: Iterable[Path]) -> None:
        """Make the moves of ``settled`` files survive a power cut."""
        for folder in (*{path.parent for path in settled}, self._series, self.new):
            sync_folder(folder)

    def settled(self, series_uid: str) -> list[Path]:
        """Return the files of a series that are registered, or were so before rows were lost; oldest first."""
        folder = self._series / series_uid
        found = list(folder.glob("*.dcm")) if folder.is_dir() else []
        return sorted(found, key=lambda path: path.stat().st_mtime_ns)

    def settled_series(self) -> list[str]:
        """Return the UID of every series that has a folder."""
        return sorted(path.name for path in self._series.iterdir() if path.is_dir()) if self._series.is_dir() else []

    def unsettle(self, settled: Path) -> None:
        """Move a file back into ``new/``, to be registered again; among files moved so the order is that of calls."""
        settled.rename(self.new / f"{settled.stem}-{self._order()}.dcm")

    def refuse(self, waiting: Path, code: str) -> Path:
        """Move a file to ``refused/`` with the code in its name, and return its new path."""
        refused = self.refused / f"{waiting.stem[:LONGEST_STEM]}.{code}.dcm"
        # Another scheduler may have moved it already.
        with suppress(FileNotFoundError):
            waiting.rename(refused)
        return refused


def _boot() -> str:
    """Return the boot id of the machine: it changes with each start, when the monotonic clock begins anew."""
    return BOOT_ID.read_text().strip()


@contextmanager
def _written() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutOfSpace(f"the spool cannot be written: {errno.errorcode.get(error.errno or 0)}") from error


def _order_of(filename: str) -> str:
    parts = WAITING_NAME.fullmatch(filename)
    return parts[1] if parts else ""


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
