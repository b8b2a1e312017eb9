"""Taking images out of the spool once they have done their work, never before, and clearing up after crashes."""

import logging
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.tracking import Change, Retention
from dicom_node.spool.broken_off import BrokenOff
from dicom_node.spool.folder import Spool

logger = logging.getLogger(__name__)
WHO = "dicom_node"


def clean(sessions: sessionmaker[Session], retention: Retention, now: datetime) -> int:
    """Remove the images of every series whose time is over; return how many images.

    Rows stay, with the time of removal. Files that have no row, and those set aside, are not touched.
    """
    with sessions.begin() as session:
        series = tracking.removable(session, retention, now)
    removed = 0
    for series_uid in series:
        with sessions.begin() as session:
            count = tracking.remove(session, series_uid, retention, _delete, Change(WHO, now))
        removed += count
        if count:
            logger.info("images removed after their time", extra={"series_uid": series_uid, "images": count})
    return removed


def clear_leftovers(spool: Spool) -> None:
    """Remove half-written files whose writers were killed."""
    cleared = spool.clear_leftovers()
    if cleared:
        logger.info("half-written files of killed processes removed", extra={"files": cleared})


def clear_breaks(spool: Spool) -> None:
    """Forget of which series an association broke off, where no image of them is left."""
    broken_off = BrokenOff(spool.associations)
    noted = broken_off.noted()
    # What waits has no folder yet. Asked for after the series were: an image is there before its break is.
    if not spool.waiting():
        broken_off.mend_all(uid for uid in noted if not spool.holds(uid))


def _delete(path: str) -> None:
    Path(path).unlink(missing_ok=True)
    # The folder of the series, once it is empty.
    with suppress(OSError):
        Path(path).parent.rmdir()
