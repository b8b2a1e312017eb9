"""Log lines for people or for machines. A log is not the audit: the audit is rows."""

import json
import logging
from datetime import UTC, datetime
from enum import StrEnum

PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "data"}
# These libraries tell every PDU or task; what matters of it is told by our own lines.
CHATTY = ("pynetdicom", "celery.worker.strategy", "celery.app.trace", "alembic", "pydicom", "highdicom")


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
            "message": record.getMessage(),
            **_facts(record),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class ConsoleLines(logging.Formatter):
    """Time, level, message, then the facts as name=value."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        facts = " ".join(f"{name}={value}" for name, value in _facts(record).items())
        return f"{super().format(record)}  {facts}".rstrip()


def _facts(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in PLAIN}


def configure(log_format: LogFormat) -> None:
    """Send log lines to standard error in the format asked for."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        JsonLines() if log_format is LogFormat.json else ConsoleLines("%(asctime)s %(levelname)-7s %(message)s")
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
