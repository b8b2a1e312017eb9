"""Wakes workers for what is due: once, and again only where the broker holds fewer messages than there is work."""

import logging
from datetime import datetime, timedelta

from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from dicom_node.scheduler.dispatch import Dispatcher

logger = logging.getLogger(__name__)
LOOKS_PER_RENOTIFY = 4


class Waking:
    """Sends wake-ups; those that the broker did not take are sent first the next time.

    Work that still waits ``renotify_s`` after its wake-up gets another one where messages were lost. A queue that is
    only long gets none: else it would grow for as long as workers are busy or away.
    """

    def __init__(self, sessions: sessionmaker[Session], dispatcher: Dispatcher, renotify_s: float) -> None:
        self._sessions = sessions
        self._dispatcher = dispatcher
        self._renotify = timedelta(seconds=renotify_s)
        self._unsent: dict[tuple[int, str | None], None] = {}
        self._look_at: datetime | None = None

    def run(self, now: datetime) -> None:
        """Wake workers for all that is due."""
        self._look_for_lost(now)
        with self._sessions.begin() as session:
            jobs = tracking.due_jobs(session, now)
            deliveries = tracking.due_deliveries(session, now)
        self._unsent |= dict.fromkeys((job_id, None) for job_id in jobs)
        self._unsent |= dict.fromkeys((one.job_id, one.destination) for one in deliveries)
        # Stops at the first failure: while the broker is away each try waits for its timeout, and images wait with it.
        while self._unsent and self._send(*(first := next(iter(self._unsent)))):
            del self._unsent[first]

    def _look_for_lost(self, now: datetime) -> None:
        pause = self._renotify / LOOKS_PER_RENOTIFY
        if self._look_at is not None and now < self._look_at <= now + pause:
            return
        self._look_at, before = now + pause, now - self._renotify
        with self._sessions.begin() as session:
            waiting = tracking.unanswered(session, now, before)
        for queue, count in waiting.items():
            messages = self._dispatcher.messages(queue) if count else None
            if messages is not None and messages < count:
                logger.warning("wake-ups were lost", extra={"queue": queue, "waiting": count, "messages": messages})
                with self._sessions.begin() as session:
                    tracking.wake_again(session, queue, now, before)

    def _send(self, job_id: int, destination: str | None) -> bool:
        if destination is None:
            return self._dispatcher.analyse(job_id)
        return self._dispatcher.deliver(job_id, destination)
