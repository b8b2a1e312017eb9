"""What a process has to tell the audit repository of itself: a file each, until it was told.

Who receives has no database. A caller that is refused again and again is noted once a minute, and of a repository that
is away for long no more is kept than the disk can bear.
"""

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

logger = logging.getLogger(__name__)
STARTED, STOPPED, AUDIT_USED, CALLER_REFUSED = "started", "stopped", "audit_used", "caller_refused"
KINDS = frozenset({STARTED, STOPPED, AUDIT_USED, CALLER_REFUSED})
MOST_KEPT = 10_000
SAME_CALLER_S = 60.0


@dataclass(frozen=True)
class Notice:
    """What happened, when, and to whom."""

    kind: str
    who: str
    at: datetime
    facts: dict[str, str] = field(default_factory=dict)


class Notices:
    """The notices below one folder. Without ``is_asked`` none is written: nobody would read it."""

    def __init__(self, folder: Path, is_asked: bool) -> None:
        self._folder, self._is_asked = folder, is_asked
        self._refused: dict[tuple[str, str], float] = {}

    def write(self, kind: str, who: str, facts: dict[str, str] | None = None) -> None:
        """Keep one notice; a disk that takes none costs only the notice."""
        if not self._is_asked:
            return
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if sum(1 for _ in self._folder.iterdir()) >= MOST_KEPT:
                return
            written = {"kind": kind, "who": who, "at": datetime.now(UTC).isoformat(), "facts": facts or {}}
            part = self._folder / f"{time.time_ns()}-{uuid4().hex}.part"
            part.write_text(json.dumps(written), encoding="utf-8")
            part.rename(part.with_suffix(".json"))
        except OSError as error:
            logger.warning("a notice for the audit could not be kept", extra={"kind": kind, "reason": error.strerror})

    def refused(self, who: str, facts: dict[str, str]) -> None:
        """Keep a notice of a caller that was refused, unless one of it was kept within a minute."""
        caller, now = (facts.get("calling_ae", ""), facts.get("address", "")), time.monotonic()
        if now - self._refused.get(caller, -SAME_CALLER_S) < SAME_CALLER_S:
            return
        if len(self._refused) >= MOST_KEPT:
            self._refused.clear()
        self._refused[caller] = now
        self.write(CALLER_REFUSED, who, facts)

    def waiting(self) -> Iterator[tuple[Path, Notice]]:
        """Yield what is kept, oldest first; a file that holds no notice is removed."""
        for path in sorted(self._folder.glob("*.json")):
            try:
                said = json.loads(path.read_text(encoding="utf-8"))
                notice = Notice(said["kind"], said["who"], datetime.fromisoformat(said["at"]), dict(said["facts"]))
            except (ValueError, LookupError, TypeError):
                path.unlink(missing_ok=True)
                continue
            if notice.kind in KINDS:
                yield path, notice
