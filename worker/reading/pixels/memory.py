"""Bounds the memory that reading one series may take, so that a frame that grows ends its job and no worker."""

import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from worker.errors import InputRejected

# The limit is one of the process: whoever reads in another thread waits.
_ALONE = threading.RLock()


@contextmanager
def bounded(allowed_bytes: int) -> Iterator[None]:
    """Let the block take so much memory more than the process holds; a block within another has a measure of its own.

    The limit is that of the system (RLIMIT_DATA), so it holds for what decoders take as well.

    Raises
    ------
    InputRejected
        ``pixel_bomb``: the block asked for more.
    """
    with _ALONE:
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limit = _held_bytes() + allowed_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
        try:
            yield
        except MemoryError as error:
            raise InputRejected(
                f"The series needs more than the {allowed_bytes} bytes of memory that images of its size take; "
                "send it again from the scanner.",
                code="pixel_bomb",
                detail={"allowed_bytes": allowed_bytes},
            ) from error
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _held_bytes() -> int:
    """Return how much the system counts towards the limit by now."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmData:")[2].split(maxsplit=1)[0]) * 1024
