"""How many associations each address has open, over all processes: one caller alone keeps nobody else out.

An association locks one byte of a file that stays empty: which one says its address, and which of its places it has.
The kernel drops these locks with the open file, so a process that dies frees its places.
"""

import fcntl
import hashlib
import os
import struct
from contextlib import suppress
from pathlib import Path
from threading import Lock

# The places of two addresses must not overlap; a file may be locked far beyond its end.
ADDRESS_BYTES, PLACES_OF_AN_ADDRESS = 6, 1024


class Peers:
    """The places of associations, by address.

    Parameters
    ----------
    file
        The file whose bytes are locked; made where it is missing.
    most
        How many associations one address may have open.
    """

    def __init__(self, file: Path, most: int = 32) -> None:
        self._file = file
        self._most = most
        self._lock = Lock()
        self._places: dict[int, int] = {}

    def opened(self, association: int, address: str) -> bool:
        """Take a place for a new association; False where its address has none left."""
        # Locks belong to an open file: each association opens its own.
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        first = _first(address)
        if not any(_locked(descriptor, place) for place in range(first, first + self._most)):
            os.close(descriptor)
            return False
        with self._lock:
            self._places[association] = descriptor
        return True

    def ended(self, association: int) -> None:
        """Give the place of an association back, if it has one."""
        with self._lock:
            descriptor = self._places.pop(association, None)
        if descriptor is not None:
            os.close(descriptor)


def _first(address: str) -> int:
    digest = hashlib.sha256(address.encode()).digest()
    return int.from_bytes(digest[:ADDRESS_BYTES], "big") * PLACES_OF_AN_ADDRESS


def _locked(descriptor: int, place: int) -> bool:
    # struct flock: type, whence, start, length, pid.
    asked = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, place, 1, 0)
    with suppress(BlockingIOError):
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, asked)
        return True
    return False
