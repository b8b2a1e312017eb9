"""Tells an audit repository what happened, beside the scheduler: one that is away delays nothing and loses nothing."""

import logging
import os
import socket
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from dicom_node.audit_messages import happenings, syslog
from dicom_node.audit_messages.message import AuditMessage, xml
from dicom_node.audit_messages.syslog import Repository
from dicom_node.spool.notices import Notices

logger = logging.getLogger(__name__)
POLL_S = 1.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 300.0


class AuditRepository:
    """Sends the messages of events and notices; where the feed stands is kept in the database.

    Parameters
    ----------
    repository
        Opens it anew for each try: certificates may have been renewed. Raises OSError.
    us
        Our AE title.
    """

    def __init__(
        self, sessions: sessionmaker[Session], notices: Notices, repository: Callable[[], Repository], us: str
    ) -> None:
        self._sessions, self._notices = sessions, notices
        self._repository, self._us = repository, us
        self._is_away = False

    def run(self, stop: Event, leads: Callable[[], bool]) -> None:
        """Tell what happens, while this process leads, until ``stop`` is set."""
        pause_s, trouble_s = POLL_S, FIRST_PAUSE_S
        while not stop.wait(pause_s):
            if not leads():
                pause_s = POLL_S
            elif self._try_tick():
                pause_s, trouble_s = POLL_S, FIRST_PAUSE_S
            else:
                pause_s, trouble_s = trouble_s, min(trouble_s * 2, LONGEST_PAUSE_S)

    def _try_tick(self) -> bool:
        try:
            while self.tick(datetime.now(UTC)):
                pass
        except SQLAlchemyError as error:
            # Logged as debug only: the scheduler itself warns that the database is away.
            logger.debug("nothing told to the audit repository", extra={"error": type(error).__name__})
            return False
        except OSError as error:
            if not self._is_away:
                logger.warning("audit repository away: what happens waits", extra={"reason": str(error)})
            self._is_away = True
            return False
        if self._is_away:
            logger.info("audit repository is back")
        self._is_away = False
        return True

    def tick(self, now: datetime) -> bool:
        """Tell what waits, and return whether more may. Raises OSError where the repository did not take it."""
        paths: list[Path] = []
        messages: list[AuditMessage] = []
        for path, notice in self._notices.waiting():
            paths.append(path)
            messages.append(happenings.of_notice(notice))
        self._send(messages)
        for path in paths:
            path.unlink(missing_ok=True)
        with self._sessions.begin() as session:
            batch = tracking.next_batch(session, now)
        if batch is None:
            return False
        self._send([happenings.of_event(event, self._us) for event in batch.events])
        with self._sessions.begin() as session:
            tracking.told(session, batch)
        return True

    def _send(self, messages: Sequence[AuditMessage]) -> None:
        if not messages:
            return
        source = socket.gethostname()
        framed = [syslog.framed(xml(one, source), one.at, source, os.getpid()) for one in messages]
        syslog.send(self._repository(), framed)
