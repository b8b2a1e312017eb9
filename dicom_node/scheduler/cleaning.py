"""Taking images out of the spool once they have done their work, never before."""

import logging
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.tracking import Change

logger = logging.getLogger(__name__)
WHO = "dicom_node"


def clean(sessions: sessionmaker[Session], retention_days: float, now: datetime) -> int:
    """Remove the images of every series whose results were delivered so long ago; return how many images.

    Rows stay, with the time of removal. Files that have no row, and those set aside, are not touched.
    """
    before = now - timedelta(days=retention_days)
    with sessions.begin() as session:
        series = tracking.removable(session, before)
    removed = 0
    for series_uid in series:
        with sessions.begin() as session:
            count = tracking.remove(session, series_uid, before, _delete, Change(WHO, now))
        removed += count
        if count:
            logger.info("images removed after their time", extra={"series_uid": series_uid, "images": count})
    return removed


def _delete(path: str) -> None:
    Path(path).unlink(missing_ok=True)
    # The folder of the series, once it is empty.
    with suppress(OSError):
        Path(path).parent.rmdir()
