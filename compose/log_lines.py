"""Limits what a log line may hold, and how many lines one library may write."""

import logging
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePath

from db.address import hide_secrets

OURS = frozenset({"compose", "db", "dicom_node", "worker", "scleroscan", "__main__"})
LINES_PER_MINUTE = 30
WINDOW_S = 60.0
LONGEST_READ = 100_000


def escaped(text: str) -> str:
    """Return ``text`` on one line: what is not printable as its escape, and no secret of a URL."""
    signs = (sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in hide_secrets(text))
    return "".join(signs)


def clean(text: str, longest: int) -> str:
    """Return ``text`` as :func:`escaped` does, and not longer than ``longest``."""
    # Escapes only lengthen, so what lies behind is never needed. Secrets go first: a cut may part one from its @.
    signs = escaped(hide_secrets(text[:LONGEST_READ])[:longest])
    return signs if len(text) <= longest and len(signs) <= longest else f"{signs[:longest]}…"


def compact_trace(error: BaseException) -> str:
    """Return an error and where it came from, innermost first, without lines of code."""
    places = [
        f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}"
        for frame in reversed(traceback.extract_tb(error.__traceback__))
    ]
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    after = f", after {type(cause).__name__}: {cause}" if cause else ""
    return f"{type(error).__name__}: {error}{after} at {' < '.join(places)}"


def is_ours(logger: str) -> bool:
    """Whether a logger is one of this program, not of a library."""
    return logger.split(".", maxsplit=1)[0] in OURS


@dataclass
class _Window:
    ends_at: float
    lines: int = 0


class Limiter:
    """Lets each library write so many lines a minute, and tells how many were left out.

    It is not safe between threads: a handler calls it under its own lock.
    """

    def __init__(self, lines: int = LINES_PER_MINUTE, clock: Callable[[], float] = time.monotonic) -> None:
        self._lines = lines
        self._clock = clock
        self._windows: dict[str, _Window] = {}

    def admitted(self, record: logging.LogRecord) -> Iterator[logging.LogRecord]:
        """Yield the records to write in the place of this one."""
        now = self._clock()
        yield from self._ended(now)
        library = record.name.split(".")[0]
        if is_ours(library):
            yield record
            return
        window = self._windows.setdefault(library, _Window(now + WINDOW_S))
        window.lines += 1
        if window.lines <= self._lines:
            yield record
        if window.lines == self._lines:
            yield _note(library, f"more lines of it are left out for up to {WINDOW_S:.0f} s")

    def _ended(self, now: float) -> Iterator[logging.LogRecord]:
        for library, window in list(self._windows.items()):
            if window.ends_at <= now:
                del self._windows[library]
                if window.lines > self._lines:
                    yield _note(library, f"{window.lines - self._lines} lines of it were left out")


def _note(library: str, message: str) -> logging.LogRecord:
    return logging.LogRecord(library, logging.WARNING, __file__, 0, message, None, None)
