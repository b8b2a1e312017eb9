"""Which associations are open, and which broke off, for every process to see: each locks a file that names its series.

When a process dies the kernel releases its locks, so an association that a crash ended no longer counts as open. The
names of its series stay in the file, so none of them counts as sent whole. See docs/decisions/0034.
"""

import fcntl
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from db.states import ASSOCIATION_BROKEN_OFF
from dicom_node.spool.broken_off import BrokenOff
from dicom_node.spool.image import UID_GRAMMAR

LONGEST_LIST = 1_048_576
logger = logging.getLogger(__name__)


class Slot:
    """The file of one association, locked while the association is open."""

    def __init__(self, descriptor: int, broken_off: BrokenOff) -> None:
        self._descriptor = descriptor
        self._broken_off = broken_off
        self._breaks_before: dict[str, str | None] = {}
        self.images: dict[str, int] = {}

    def carry(self, series_uid: str) -> None:
        """Note that the association carries an image of a series."""
        if series_uid not in self.images:
            os.write(self._descriptor, series_uid.encode("ascii") + b"\n")
            # Synced so that after a power cut the series does not count as sent whole; once for each series, for once
            # for each image would be slow.
            os.fdatasync(self._descriptor)
            self._breaks_before[series_uid] = self._broken_off.token(series_uid)
        self.images[series_uid] = self.images.get(series_uid, 0) + 1

    def leave(self, released: bool) -> None:
        """Free the slot at the end of an association; without a release its series are noted as broken off."""
        try:
            for series_uid, before in self._breaks_before.items():
                if released:
                    self._broken_off.mend(series_uid, before)
                else:
                    self._broken_off.note(series_uid)
            if self.images:
                os.ftruncate(self._descriptor, 0)
                os.fsync(self._descriptor)
        finally:
            os.close(self._descriptor)


class OpenSeries:
    """The slots for associations, and the series that the open associations have carried.

    Parameters
    ----------
    folder
        Where the files lie; made where it is missing.
    slots
        How many associations may be open at one time, over all processes on this folder.
    """

    def __init__(self, folder: Path, slots: int = 32) -> None:
        self._folder = folder
        self._slots = slots
        self._lock = Lock()
        self._by_association: dict[int, Slot] = {}
        self._broken_off = BrokenOff(folder)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def opened(self, association: int) -> bool:
        """Take a slot for a new association; False where none is free."""
        slot = self._take()
        if slot is None:
            return False
        with self._lock:
            self._by_association[association] = slot
        return True

    def carried(self, association: int, series_uid: str) -> None:
        """Note that an association carries an image of a series.

        Nothing is noted for an association that has ended already: a sender may hang up while its last image is still
        being written.
        """
        with self._lock:
            slot = self._by_association.get(association)
            if slot is None:
                return
            if series_uid not in slot.images:
                # What broke off before has to be on record, or a whole sending could not mend it.
                self._note_deaths()
            slot.carry(series_uid)

    def ended(self, association: int, *, released: bool) -> dict[str, int]:
        """Forget an association and return how many images of which series it carried.

        Where it did not end by release, each of these series counts as broken off until it is sent again.
        """
        with self._lock:
            slot = self._by_association.pop(association, None)
            if slot is None:
                return {}
            slot.leave(released)
        return slot.images

    def carried_now(self) -> frozenset[str]:
        """Return every series that an open association has carried, whichever process holds it."""
        return frozenset(uid for path in self._used() for uid in _carried_now(path))

    def __contains__(self, series_uid: str) -> bool:
        return series_uid in self.carried_now()

    def broke_off(self, series_uid: str) -> bool:
        """Whether an association that carried the series broke off, and the series was not sent again since.

        Ask first whether an association is open, then this: one that ends between the two questions is then noticed.
        """
        self._note_deaths()
        return self._broken_off.token(series_uid) is not None

    def mend_all(self, series_uids: Iterable[str]) -> None:
        """Take back the breaks of series that came whole by another way than an association."""
        self._note_deaths()
        self._broken_off.mend_all(series_uids)

    def _note_deaths(self) -> None:
        for path in self._used():
            with _opened(path) as descriptor:
                if os.fstat(descriptor).st_size and _lock(descriptor, fcntl.LOCK_EX):
                    self._note_death(descriptor)

    def _used(self) -> list[Path]:
        with os.scandir(self._folder) as entries:
            # Most files are empty: the size tells that without opening them.
            return [Path(entry.path) for entry in entries if entry.is_file() and entry.stat().st_size]

    def _take(self) -> Slot | None:
        for number in range(self._slots):
            descriptor = os.open(self._folder / f"{number:04d}", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            if _lock(descriptor, fcntl.LOCK_EX):
                self._note_death(descriptor)
                return Slot(descriptor, self._broken_off)
            os.close(descriptor)
        return None

    def _note_death(self, descriptor: int) -> None:
        """Empty the file of an association whose process is gone; its series are broken off."""
        for series_uid in _names(descriptor):
            self._broken_off.note(series_uid)
            # The calling AE title and the number of images were known only to the process that died.
            facts = {"code": ASSOCIATION_BROKEN_OFF, "series_uid": series_uid}
            logger.warning("association broke off", extra=facts)
        os.ftruncate(descriptor, 0)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int, kind: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        return True
    return False


def _names(descriptor: int) -> set[str]:
    listed = os.pread(descriptor, LONGEST_LIST, 0).decode("ascii", "replace").split("\n")
    # A power cut may have left the last line incomplete or damaged.
    return {name for name in listed if UID_GRAMMAR.fullmatch(name)}


def _carried_now(path: Path) -> set[str]:
    """Return the series of one open association; none where it has ended."""
    with _opened(path) as descriptor:
        carried = _names(descriptor)
        # The lock of an empty file is never tried: a new association might find its slot locked by this very test.
        if not carried or _lock(descriptor, fcntl.LOCK_SH):
            return set()
        return carried
