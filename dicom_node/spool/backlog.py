"""What an operator should know of a spool: how many images wait to be registered, and how many were set aside."""

import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from dicom_node.spool.folder import Spool

REFUSED_NAME = re.compile(r".*\.([a-z0-9_]+)\.dcm")
# The code of files that an earlier version set aside; their names hold none.
UNKNOWN_CODE = "unknown"


@dataclass(frozen=True)
class Backlog:
    """How many images wait to be registered, and how long the oldest has waited."""

    images: int
    oldest_s: float


def waiting(spool: Spool, now: datetime) -> Backlog:
    """Return what waits to be registered; nothing where there is no spool yet."""
    since: list[float] = []
    for path in spool.new.glob("*"):
        # The file is gone where the scheduler registers it at this moment.
        with suppress(FileNotFoundError):
            since.append(path.stat().st_mtime)
    return Backlog(len(since), max(0.0, now.timestamp() - min(since)) if since else 0.0)


def set_aside(spool: Spool) -> dict[str, int]:
    """Return the number of files that were set aside, for each code that says why."""
    names = [path.name for path in spool.refused.iterdir()] if spool.refused.is_dir() else []
    codes = [parts[1] if (parts := REFUSED_NAME.fullmatch(name)) else UNKNOWN_CODE for name in names]
    return dict(sorted(Counter(codes).items()))
