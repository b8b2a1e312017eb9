"""Writes the bytes of one image to a file in ``incoming/`` while they arrive."""

import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from dicom_node.errors import OutOfSpace

PIECE = 262_144
# After so many bytes the watermark is looked at again, while the image still comes in.
LOOK_EVERY = 4_194_304
# This many bytes stay in memory for reading the UIDs; in almost all images they lie within.
BEGINNING = 16_384


class Incoming:
    """Takes an image's bytes and makes them a durable file.

    Where writing fails, the rest of the image is read all the same and dropped, because the sender is answered only
    after its last byte; :meth:`complete` then raises what went wrong. The space it took is given back at once.

    Parameters
    ----------
    path
        The file to write; there must be none yet.
    header
        Preamble and file meta group, which precede the data set.
    buffer
        Memory of ``PIECE`` bytes that nothing else uses until :meth:`sync` or :meth:`discard`.
    check_free
        Raises OutOfSpace where the watermark is reached.
    """

    def __init__(self, path: Path, header: bytes, buffer: bytearray, check_free: Callable[[], None]) -> None:
        self.path = path
        self.beginning = b""
        self._view = memoryview(buffer)
        self._filled = 0
        self._descriptor: int | None = None
        self._failure: OSError | OutOfSpace | None = None
        self._check_free, self._unlooked = check_free, 0
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            # The lock lasts until the file is closed or the process dies; a file without a lock may be cleared away.
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._failure = error
        self._write(memoryview(header))

    def room(self) -> memoryview:
        """Return the memory that the next bytes are read into; never empty."""
        if self._filled == len(self._view):
            self._flush()
        return self._view[self._filled :]

    def received(self, count: int) -> None:
        """Note that ``count`` bytes of the data set were read into the room."""
        self._filled += count

    def extend(self, content: bytes) -> None:
        """Add bytes of the data set that are in memory."""
        rest = memoryview(content)
        while rest:
            room = self.room()[: len(rest)]
            room[:] = rest[: len(room)]
            self.received(len(room))
            rest = rest[len(room) :]

    def complete(self) -> None:
        """Write what is left in the buffer.

        Raises
        ------
        OSError, OutOfSpace
            The file could not be made, locked or written, or the watermark was reached.
        """
        self._flush()
        if self._failure:
            raise self._failure

    def sync(self) -> None:
        """Sync the completed file to the disk and close it. Raises OSError where that fails."""
        if self._descriptor is not None:
            os.fsync(self._descriptor)
        self._close()

    def discard(self) -> None:
        """Close and remove the file."""
        self._close()
        with suppress(OSError):
            self.path.unlink()

    def _flush(self) -> None:
        piece = self._view[: self._filled]
        if not self.beginning:
            self.beginning = bytes(piece[:BEGINNING])
        self._write(piece)
        self._filled = 0

    def _write(self, content: memoryview) -> None:
        if self._failure or self._descriptor is None:
            return
        self._unlooked += len(content)
        try:
            if self._unlooked >= LOOK_EVERY:
                self._unlooked = 0
                self._check_free()
            while content:
                content = content[os.write(self._descriptor, content) :]
        except (OSError, OutOfSpace) as error:
            self._failure = error
            with suppress(OSError):
                os.ftruncate(self._descriptor, 0)

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def is_being_written(path: Path) -> bool:
    """Whether a file in ``incoming/`` is still locked by the process that writes it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
