"""Which associations are open, known to every process: each holds the lock of one file, which names its series.

The kernel drops the lock with its process, so nothing stays open that a crash has ended.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from threading import Lock

LONGEST_LIST = 1_048_576


class Slot:
    """One association's file, locked as long as it lasts."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._carried: set[str] = set()

    def carry(self, series_uid: str) -> None:
        """Note that the association carries a series."""
        if series_uid not in self._carried:
            os.write(self._descriptor, series_uid.encode("ascii") + b"\n")
            self._carried.add(series_uid)

    def leave(self) -> None:
        """Free the slot: the association has ended."""
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


class OpenSeries:
    """The slots for associations, and which series have come over those that are taken.

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
        """Note that an association carries a series.

        A sender may hang up while its last image is still being written: an association that ended holds nothing back.
        """
        with self._lock:
            if association in self._by_association:
                self._by_association[association].carry(series_uid)

    def ended(self, association: int) -> None:
        """Forget an association."""
        with self._lock:
            slot = self._by_association.pop(association, None)
            if slot is not None:
                slot.leave()

    def carried_now(self) -> frozenset[str]:
        """Return every series that an open association has carried, whichever process holds it."""
        with os.scandir(self._folder) as slots:
            # Most slots are empty, and to see that takes no opening.
            used = [Path(slot.path) for slot in slots if slot.stat().st_size]
        return frozenset(uid.decode("ascii") for slot in used for uid in _carried_now(slot))

    def __contains__(self, series_uid: str) -> bool:
        return series_uid in self.carried_now()

    def _take(self) -> Slot | None:
        for number in range(self._slots):
            descriptor = os.open(self._folder / f"{number:04d}", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            if _lock(descriptor, fcntl.LOCK_EX):
                os.ftruncate(descriptor, 0)
                return Slot(descriptor)
            os.close(descriptor)
        return None


def _lock(descriptor: int, kind: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        return True
    return False


def _carried_now(path: Path) -> set[bytes]:
    """Return the series of one open association; none where it has ended."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        carried = os.read(descriptor, LONGEST_LIST)
        # Only a file with something in it is tried, or a new association might find its slot locked by this look.
        if not carried or _lock(descriptor, fcntl.LOCK_SH):
            return set()
        return set(carried.splitlines())
    finally:
        os.close(descriptor)
