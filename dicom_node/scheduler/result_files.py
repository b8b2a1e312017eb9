"""Removes the files of results when their retention is over; what is not named as a job is left alone."""

import logging
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.tracking import Change

logger = logging.getLogger(__name__)
JOB_KEY = re.compile(r"[0-9a-f]{64}")
BATCH = 200
WHO = "dicom_node"


@dataclass(frozen=True)
class ResultFiles:
    """The results folder, and how long results stay there after their job was over.

    ``stored``: there is an object store, and no file leaves before it has a copy there.
    """

    folder: Path
    stay: timedelta
    stored: bool = False

    def clean(self, sessions: sessionmaker[Session], now: datetime) -> int:
        """Remove what is over, and return how many files. No path of a row is used, only the keys of jobs."""
        before, removed, stored = now - self.stay, 0, self.stored or None
        for key, job_id in self.over(sessions, now, stored):
            with sessions.begin() as session:
                delete = partial(_delete, self.folder / key)
                removed += tracking.remove_results(session, job_id, before, delete, Change(WHO, now), stored)
        if removed:
            logger.info("results removed after their time", extra={"files": removed})
        return removed

    def over(self, sessions: sessionmaker[Session], now: datetime, stored: bool | None) -> Iterator[tuple[str, int]]:
        """Yield key and job of what is over; ``stored`` as :func:`db.tracking.expired_results` has it."""
        keys = self._keys()
        for start in range(0, len(keys), BATCH):
            with sessions.begin() as session:
                over = tracking.expired_results(session, keys[start : start + BATCH], now - self.stay, stored)
            yield from over.items()

    def _keys(self) -> list[str]:
        if not self.folder.is_dir():
            return []
        return sorted(one.name for one in self.folder.iterdir() if JOB_KEY.fullmatch(one.name) and not one.is_symlink())


def _delete(folder: Path) -> int:
    files = [path for path in folder.iterdir() if path.is_symlink() or path.is_file()]
    for path in files:
        path.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()
    return len(files)
