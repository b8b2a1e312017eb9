"""One image on its way into the spool: its bytes go to a file of ``incoming/`` as they come."""

import fcntl
import hashlib
import os
from contextlib import suppress
from pathlib import Path

PIECE = 262_144
# So much of an image's beginning stays at hand; the UIDs of all but odd images lie within.
BEGINNING = 16_384


class Incoming:
    """Takes an image's bytes and makes them a durable file.

    An image that the file system does not take is swallowed to its end, for only then can its sender be told:
    :meth:`complete` raises what went wrong.

    Parameters
    ----------
    path
        The file to write; there must be none yet.
    header
        What precedes the data set.
    buffer
        Memory for ``PIECE`` bytes, this image's alone until :meth:`sync` or :meth:`discard`.
    """

    def __init__(self, path: Path, header: bytes, buffer: bytearray) -> None:
        self.path = path
        self.beginning = b""
        self._view = memoryview(buffer)
        self._filled = 0
        self._hash = hashlib.sha256()
        self._descriptor: int | None = None
        self._failure: OSError | None = None
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            # Held until it is closed, or its process has gone: what nobody holds may be cleared away.
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._failure = error
        self._write(memoryview(header))

    def room(self) -> memoryview:
        """Return where the next bytes go; never empty."""
        if self._filled == len(self._view):
            self._flush()
        return self._view[self._filled :]

    def received(self, count: int) -> None:
        """Note that ``count`` bytes of the data set were written to the room."""
        self._filled += count

    def extend(self, content: bytes) -> None:
        """Add bytes of the data set that are in memory already."""
        rest = memoryview(content)
        while rest:
            room = self.room()[: len(rest)]
            room[:] = rest[: len(room)]
            self.received(len(room))
            rest = rest[len(room) :]

    def complete(self) -> str:
        """Bring everything into the file and return the data set's SHA-256.

        Raises
        ------
        OSError
            The file system did not take all.
        """
        self._flush()
        if self._failure:
            raise self._failure
        return self._hash.hexdigest()

    def sync(self) -> None:
        """Make the completed file durable and close it. Raises OSError where the file system does not."""
        if self._descriptor is not None:
            os.fsync(self._descriptor)
        self._close()

    def discard(self) -> None:
        """Remove what was written."""
        self._close()
        with suppress(OSError):
            self.path.unlink()

    def _flush(self) -> None:
        piece = self._view[: self._filled]
        if not self.beginning:
            self.beginning = bytes(piece[:BEGINNING])
        self._hash.update(piece)
        self._write(piece)
        self._filled = 0

    def _write(self, content: memoryview) -> None:
        if self._failure or self._descriptor is None:
            return
        try:
            while content:
                content = content[os.write(self._descriptor, content) :]
        except OSError as error:
            self._failure = error

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def is_being_written(path: Path) -> bool:
    """Whether the process that writes an incoming file is still there."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
