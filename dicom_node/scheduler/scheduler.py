"""The scheduler: registers, judges, opens jobs, wakes workers, cleans; once a tick, for ever."""

import logging
import time
import traceback
from collections import deque
from datetime import UTC, datetime
from threading import Event

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from dicom_node.scheduler import cleaning
from dicom_node.scheduler.closing import Closer, Terms
from dicom_node.scheduler.dispatch import Dispatcher
from dicom_node.scheduler.leader import Candidacy
from dicom_node.scheduler.registrar import Registrar
from dicom_node.spool.associations import OpenSeries
from dicom_node.spool.folder import Spool

logger = logging.getLogger(__name__)
POLL_S = 0.25
CLEAN_EVERY_S = 600.0
# The clock was set back by so much: more than it is slewed, less than a pause that matters.
SET_BACK_S = 5.0
PAUSE_AFTER_FAILURE_S = 2.0


class Scheduler:
    """What happens after an image is durable."""

    def __init__(
        self,
        spool: Spool,
        sessions: sessionmaker[Session],
        dispatcher: Dispatcher,
        terms: Terms,
    ) -> None:
        self._spool = spool
        self._sessions = sessions
        self._registrar = Registrar(spool, sessions)
        self._closer = Closer(sessions, OpenSeries(spool.associations), terms)
        self._dispatcher = dispatcher
        self._terms = terms
        self._unsent: deque[tuple[int, str | None]] = deque()
        self._database_away = False
        self._clean_at = 0.0
        # How far the clock is ahead of one that is never set; None until the first tick.
        self._lead_s: float | None = None

    def run(self, stop: Event, candidacy: Candidacy) -> None:
        """Tick while this process leads, until ``stop`` is set; no failure ends the loop."""
        pause_s = POLL_S
        while not stop.wait(pause_s):
            candidacy.came_round()
            pause_s = POLL_S if not candidacy.leads or self._try_tick() else PAUSE_AFTER_FAILURE_S

    def _try_tick(self) -> bool:
        try:
            self.tick(datetime.now(UTC))
        except OperationalError:
            if not self._database_away:
                logger.warning("database away, images wait in the spool")
            self._database_away = True
            return False
        except Exception as error:  # noqa: BLE001  the scheduler outlives every failure, and logs it
            # Never the message: that of a failed statement holds its parameters, and those may be a patient's.
            frames = "".join(traceback.format_tb(error.__traceback__))
            logger.error("the scheduler failed and goes on", extra={"error": type(error).__name__, "trace": frames})  # noqa: TRY400  see above
            return False
        if self._database_away:
            logger.info("database is back")
        self._database_away = False
        return True

    def tick(self, now: datetime) -> None:
        """Do once whatever there is to do."""
        self._look_at_clock(now)
        judge = self._terms.commitments
        # Before the images are registered: those of a request that waits now are then all in their rows.
        requests = judge.waiting() if judge else []
        registered = self._registrar.run(now)
        if judge:
            judge.run(requests, now)
        if requests:
            self._closer.look_at_all(now)
        self._closer.run(now, bool(registered or requests))
        self._wake(now)
        self._clean(now)

    def _look_at_clock(self, now: datetime) -> None:
        lead_s = now.timestamp() - time.monotonic()
        if self._lead_s is None or lead_s < self._lead_s - SET_BACK_S:
            with self._sessions.begin() as session:
                tracking.forget_the_future(session, now)
            self._closer.look_at_all(now)
        self._lead_s = lead_s

    def _clean(self, now: datetime) -> None:
        if time.monotonic() >= self._clean_at:
            cleaning.clear_leftovers(self._spool)
            if self._terms.retention is not None:
                cleaning.clean(self._sessions, self._terms.retention, now)
                cleaning.clear_breaks(self._spool)
            self._clean_at = time.monotonic() + CLEAN_EVERY_S

    def _wake(self, now: datetime) -> None:
        with self._sessions.begin() as session:
            jobs = tracking.due_jobs(session, now, self._terms.renotify_s)
            deliveries = tracking.due_deliveries(session, now, self._terms.renotify_s)
        due: list[tuple[int, str | None]] = [
            *((job_id, None) for job_id in jobs),
            *((d.job_id, d.destination) for d in deliveries),
        ]
        self._unsent.extend(wake_up for wake_up in due if wake_up not in self._unsent)
        # With the broker away each try costs its timeout, and images wait meanwhile: one try a tick is enough.
        while self._unsent and self._send(*self._unsent[0]):
            self._unsent.popleft()

    def _send(self, job_id: int, destination: str | None) -> bool:
        if destination is None:
            return self._dispatcher.analyse(job_id)
        return self._dispatcher.deliver(job_id, destination)
