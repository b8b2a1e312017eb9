"""What in a spool may want somebody's eye: images that wait to be registered, and those set aside."""

import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from dicom_node.spool.folder import Spool

REFUSED_NAME = re.compile(r".*\.([a-z0-9_]+)\.dcm")
# Of files that an earlier version set aside.
UNKNOWN_CODE = "unknown"


@dataclass(frozen=True)
class Backlog:
    """How many images wait to be registered, and for how long the oldest has."""

    images: int
    oldest_s: float


def waiting(spool: Spool, now: datetime) -> Backlog:
    """Return what waits to be registered; nothing where there is no spool yet."""
    since: list[float] = []
    for path in spool.new.glob("*"):
        # It may be registered at this moment.
        with suppress(FileNotFoundError):
            since.append(path.stat().st_mtime)
    return Backlog(len(since), max(0.0, now.timestamp() - min(since)) if since else 0.0)


def set_aside(spool: Spool) -> dict[str, int]:
    """Return how many files lie set aside, by the code that says why."""
    names = [path.name for path in spool.refused.iterdir()] if spool.refused.is_dir() else []
    codes = [parts[1] if (parts := REFUSED_NAME.fullmatch(name)) else UNKNOWN_CODE for name in names]
    return dict(sorted(Counter(codes).items()))
