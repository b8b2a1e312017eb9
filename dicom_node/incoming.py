"""One image on its way into the spool: in memory while it is small, in a file of ``incoming/`` as it grows."""

import hashlib
import mmap
import os
from contextlib import suppress
from pathlib import Path

# What most CT images fit into; larger ones are written in pieces of it.
PIECE = 1_048_576
# So much of an image's beginning stays at hand; the UIDs of all but odd images lie within.
BEGINNING = 16_384
# Direct writes begin and end at multiples of this, in memory and in the file.
BLOCK = 4096


class Buffer:
    """Memory for one image at a time, aligned as direct writes want it. An association keeps its own."""

    def __init__(self) -> None:
        self.view = memoryview(mmap.mmap(-1, PIECE))


class Incoming:
    """Takes an image's bytes and makes them a durable file.

    An image that the file system does not take is swallowed to its end, for only then can its sender be told:
    :meth:`complete` raises what went wrong.

    Parameters
    ----------
    path
        The file to write; it appears when the first piece is full, or at :meth:`complete`.
    header
        What precedes the data set.
    buffer
        Memory to use, this image's alone until :meth:`sync` or :meth:`discard`.
    direct
        Whether the file system takes writes past its cache (``O_DIRECT``).
    """

    def __init__(self, path: Path, header: bytes, buffer: Buffer, direct: bool) -> None:
        self.path = path
        self._view = buffer.view
        self._view[: len(header)] = header
        self._header = self._filled = len(header)
        self._written = 0
        self._hash = hashlib.sha256()
        self._flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | (os.O_DIRECT if direct else 0)
        self._descriptor: int | None = None
        self._failure: OSError | None = None
        self._beginning: bytes | None = None
        self._is_complete = False

    def room(self) -> memoryview:
        """Return where the next bytes go; never empty."""
        if self._filled == PIECE:
            self.beginning()
            self._try_to_write(PIECE)
            self._filled = 0
        return self._view[self._filled :]

    def received(self, count: int) -> None:
        """Note that ``count`` bytes of the data set were written to the room."""
        end = self._filled + count
        self._hash.update(self._view[self._filled : end])
        self._filled = end

    @property
    def digest(self) -> str:
        """SHA-256 of the data set so far."""
        return self._hash.hexdigest()

    def extend(self, content: bytes) -> None:
        """Add bytes of the data set that are in memory already."""
        rest = memoryview(content)
        while rest:
            room = self.room()[: len(rest)]
            room[:] = rest[: len(room)]
            self.received(len(room))
            rest = rest[len(room) :]

    def beginning(self) -> bytes:
        """Return the first bytes of the data set, at most ``BEGINNING`` of them."""
        if self._beginning is None:
            self._beginning = bytes(self._view[self._header : min(self._filled, self._header + BEGINNING)])
        return self._beginning

    def complete(self) -> None:
        """Bring everything into the file. Raises OSError where the file system did not take all."""
        if self._is_complete:
            return
        self.beginning()
        size = self._written + self._filled
        end = -(-self._filled // BLOCK) * BLOCK
        self._view[self._filled : end] = bytes(end - self._filled)
        self._try_to_write(end)
        if self._failure:
            raise self._failure
        os.ftruncate(self._open(), size)
        self._is_complete = True

    def sync(self) -> None:
        """Make the completed file's content durable. Raises OSError where the file system does not."""
        self.complete()
        os.fsync(self._open())
        self._close()

    def discard(self) -> None:
        """Remove what was written."""
        self._close()
        with suppress(OSError):
            self.path.unlink()

    def _try_to_write(self, end: int) -> None:
        try:
            at = 0
            while at < end and not self._failure:
                at += os.write(self._open(), self._view[at:end])
            self._written += at
        except OSError as error:
            self._failure = error

    def _open(self) -> int:
        if self._descriptor is None:
            self._descriptor = os.open(self.path, self._flags, 0o600)
        return self._descriptor

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def takes_direct_writes(folder: Path) -> bool:
    """Whether files in ``folder`` can be written past the cache; memory file systems, for one, may not have it."""
    probe = folder / f"probe-{os.getpid()}"
    try:
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_DIRECT, 0o600)
    except OSError:
        return False
    finally:
        with suppress(OSError):
            probe.unlink()
    os.close(descriptor)
    return True
