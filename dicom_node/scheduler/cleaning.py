"""Removes images from the spool when their retention is over, and the files that crashes left behind."""

import logging
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path

from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.tracking import Change, Retention
from dicom_node.errors import BadPath
from dicom_node.spool.broken_off import BrokenOff
from dicom_node.spool.folder import Spool

logger = logging.getLogger(__name__)
WHO = "dicom_node"


def clean(spool: Spool, sessions: sessionmaker[Session], retention: Retention, now: datetime) -> int:
    """Remove the images of every series whose retention is over, and return how many images.

    Their rows stay, with the time of removal. Files without a row, files set aside, and files outside the spool are not
    touched, whatever a row says.
    """
    with sessions.begin() as session:
        series = tracking.removable(session, retention, now)
    removed = 0
    for series_uid in series:
        try:
            with sessions.begin() as session:
                count = tracking.remove(session, series_uid, retention, partial(_delete, spool), Change(WHO, now))
        except BadPath:
            logger.error("images of a series do not lie in the spool: left alone", extra={"series_uid": series_uid})  # noqa: TRY400  the trace says no more
            continue
        removed += count
        if count:
            logger.info("images removed after their time", extra={"series_uid": series_uid, "images": count})
    return removed


def clear_leftovers(spool: Spool) -> None:
    """Remove unfinished files whose writers were killed."""
    cleared = spool.clear_leftovers()
    if cleared:
        logger.info("half-written files of killed processes removed", extra={"files": cleared})


def clear_breaks(spool: Spool) -> None:
    """Remove the note that an association broke off for each series of which the spool holds no image."""
    broken_off = BrokenOff(spool.associations)
    noted = broken_off.noted()
    # An image that waits has no folder yet, so nothing is removed while any waits. The breaks are listed first: an
    # image is in the spool before the break of its series is noted, so none can be overlooked.
    if not spool.waiting():
        broken_off.mend_all(uid for uid in noted if not spool.holds(uid))


def _delete(spool: Spool, path: str) -> None:
    if not spool.encloses(Path(path)):
        raise BadPath
    Path(path).unlink(missing_ok=True)
    # Also removes the folder of the series, once it is empty.
    with suppress(OSError):
        Path(path).parent.rmdir()
