"""Log lines for people or for machines: one an event, whatever is in it. A log is not the audit: the audit is rows."""

import json
import logging
import sys
import threading
import warnings
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import PurePath
from types import TracebackType
from typing import TextIO

from compose.log_lines import Limiter, clean, compact_trace, is_ours

PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "data"}
# These libraries tell every PDU, task or URL, which may be a secret; what matters of it is told by our own lines.
CHATTY = ("pynetdicom", "celery.worker.strategy", "celery.app.trace", "alembic", "highdicom", "kombu", "httpx2")
# pydicom logs each of its warnings as well, and both repeat the value, which may name a patient.
SILENT = "pydicom"
# What libraries say may hold a stranger's bytes, and does not grow with them.
LONGEST, LONGEST_OF_LIBRARIES = 1000, 200


class LogFormat(StrEnum):
    """How log lines look."""

    console = "console"
    json = "json"


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message and the facts given in ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
            **_facts(record),
        }
        return json.dumps(line)


class ConsoleLines(logging.Formatter):
    """Time with its offset from UTC, level, message, then the facts as name=value."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = datetime.fromtimestamp(record.created, UTC).astimezone().isoformat(timespec="milliseconds")
        facts = " ".join(f"{name}={value}" for name, value in _facts(record).items())
        return f"{at} {record.levelname:<7} {_message(record)}  {facts}".rstrip()


class Lines(logging.StreamHandler[TextIO]):
    """Writes lines to standard error, of each library only so many a minute."""

    def __init__(self, limiter: Limiter) -> None:
        super().__init__()
        self._limiter = limiter

    def emit(self, record: logging.LogRecord) -> None:
        """Write what the limiter lets through."""
        for admitted in self._limiter.admitted(record):
            super().emit(admitted)


def _message(record: logging.LogRecord) -> str:
    try:
        said = record.getMessage()
    except (TypeError, ValueError):
        # A library's own slip in its arguments; the line is worth more than a complaint about it.
        said = str(record.msg)
    return clean(said, _longest(record))


def _facts(record: logging.LogRecord) -> dict[str, object]:
    longest = _longest(record)
    facts = {name: _safe(value, longest) for name, value in vars(record).items() if name not in PLAIN}
    if record.exc_info and record.exc_info[1]:
        facts["trace"] = clean(compact_trace(record.exc_info[1]), longest)
    return facts


def _safe(value: object, longest: int) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_safe(one, longest) for one in value]
    if isinstance(value, dict):
        return {clean(str(name), longest): _safe(one, longest) for name, one in value.items()}
    return clean(str(value), longest)


def _longest(record: logging.LogRecord) -> int:
    return LONGEST if is_ours(record.name) else LONGEST_OF_LIBRARIES


def configure(log_format: LogFormat) -> None:
    """Send log lines to standard error in the format asked for, warnings and the ends of threads among them."""
    handler = Lines(Limiter())
    handler.addFilter(lambda record: record.name.split(".")[0] != SILENT)
    handler.setFormatter(JsonLines() if log_format is LogFormat.json else ConsoleLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # A logger that passes nothing on and has no handler would write as it is.
    logging.lastResort = handler
    # First what libraries ask for as well: done once, it is not done again over ours.
    logging.captureWarnings(capture=True)
    warnings.showwarning = _tell_warning
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    sys.excepthook = _tell_end
    threading.excepthook = lambda end: _tell_end(end.exc_type, end.exc_value, end.exc_traceback)


def _tell_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Log the kind and the place of a warning, not its text, in which libraries repeat values of headers."""
    del message, file, line
    facts = {"kind": category.__name__, "place": f"{PurePath(filename).name}:{lineno}"}
    logging.getLogger("py.warnings").warning("a library warned", extra=facts)


def _tell_end(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    """Log what ended a thread or the process, under the name of the module that raised it."""
    frame = trace
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    name = str(frame.tb_frame.f_globals.get("__name__")) if frame else __name__
    logging.getLogger(name).critical("ended by an error", exc_info=(kind, error or kind(), trace))
