"""Notes in the rows what archives report on our own storage commitment requests."""

import logging
from datetime import datetime
from pathlib import Path

from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.tracking import Change
from dicom_node.commitment.mailbox import Mailbox

logger = logging.getLogger(__name__)
WHO = "scheduler"


class CommitmentReports:
    """Reads the reports that listeners have kept."""

    def __init__(self, mailbox: Mailbox, sessions: sessionmaker[Session]) -> None:
        self._mailbox = mailbox
        self._sessions = sessions

    def run(self, now: datetime) -> None:
        """Note every report in the rows, then remove it; one that nobody asked for is removed too."""
        for path in self._mailbox.reports():
            self._note(path, now)
            path.unlink(missing_ok=True)

    def _note(self, path: Path, now: datetime) -> None:
        try:
            report = self._mailbox.read_report(path)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            logger.warning("commitment report cannot be read", extra={"error": type(error).__name__})
            return
        with self._sessions.begin() as session:
            noted = tracking.reported(session, report, Change(WHO, now))
        facts = {"transaction_uid": report.transaction_uid, "archive_ae": report.archive_ae, "objects": noted}
        if noted:
            logger.info("commitment reported", extra=facts)
        else:
            logger.warning("commitment reported that nobody waits for", extra=facts)
