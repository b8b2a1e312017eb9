"""Anchors the event chains at intervals: their heads go to a file outside the database, and its digest to the log."""

import logging
import time
from datetime import datetime
from pathlib import Path

from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.errors import AnchorsChanged

logger = logging.getLogger(__name__)
UNTIL_FIRST_S = 10.0


class Anchoring:
    """Writes to one file, every so many seconds; the first time as soon as there is something to anchor."""

    def __init__(self, path: Path, every_s: float) -> None:
        self._path = path
        self._every_s = every_s
        self._next = 0.0

    def run(self, sessions: sessionmaker[Session], now: datetime) -> None:
        """Anchor what is new, if it is time; a file that cannot be written or was changed is an error in the log."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._every_s
        try:
            with sessions.begin() as session:
                anchors = tracking.anchor(session, self._path, now)
        except OSError as error:
            logger.error("anchors cannot be written", extra={"path": str(self._path), "error": error.strerror})  # noqa: TRY400  the trace says no more
        except AnchorsChanged:
            logger.error("anchors were changed: nothing is added to them", extra={"path": str(self._path)})  # noqa: TRY400  see above
        else:
            if anchors.at is None:
                # Nothing has happened yet: a new site does not wait so long for its first anchor.
                self._next = time.monotonic() + min(UNTIL_FIRST_S, self._every_s)
                return
            # Who keeps the log elsewhere has an anchor there as well.
            logger.info("event chains anchored", extra={"series": len(anchors.heads), "digest": anchors.digest})
