"""The scheduler: at each tick it registers images, judges series, opens jobs, wakes workers and cleans the spool."""

import logging
import time
import traceback
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
from dicom_node.scheduler.waking import Waking
from dicom_node.spool.associations import OpenSeries
from dicom_node.spool.folder import Spool

logger = logging.getLogger(__name__)
POLL_S = 0.25
CLEAN_EVERY_S = 600.0
# Only a jump back by more than this counts as the clock having been set: small steps are ordinary corrections.
SET_BACK_S = 5.0
PAUSE_AFTER_FAILURE_S = 2.0


class Scheduler:
    """Does all work that follows once an image is durable in the spool."""

    def __init__(
        self,
        spool: Spool,
        sessions: sessionmaker[Session],
        dispatcher: Dispatcher,
        terms: Terms,
    ) -> None:
        self._spool = spool
        self._sessions = sessions
        self._registrar = Registrar(spool, sessions, terms.may_correct_patients)
        self._open_series = OpenSeries(spool.associations)
        self._closer = Closer(sessions, self._open_series, terms)
        self._waking = Waking(sessions, dispatcher, terms.renotify_s)
        self._terms = terms
        self._database_away = False
        self._clean_at = 0.0
        # How far the wall clock is ahead of the monotonic one, which is never set; None until the first tick.
        self._lead_s: float | None = None

    def run(self, stop: Event, candidacy: Candidacy) -> None:
        """Tick while this process leads, until ``stop`` is set; a failed tick is logged and the loop goes on."""
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
            # Without the message: that of a failed SQL statement holds its parameters, which may name a patient.
            frames = "".join(traceback.format_tb(error.__traceback__))
            logger.error("the scheduler failed and goes on", extra={"error": type(error).__name__, "trace": frames})  # noqa: TRY400  see above
            return False
        if self._database_away:
            logger.info("database is back")
        self._database_away = False
        return True

    def tick(self, now: datetime) -> None:
        """Do all work that is due, once."""
        self._look_at_clock(now)
        judge = self._terms.commitments
        # Listed before images are registered: all images of a request that waits now have rows when it is judged.
        requests = judge.waiting() if judge else []
        # Asked before as well: what comes while others are registered has no row yet when its association ends.
        carried = self._open_series.carried_now()
        registered = self._registrar.run(now)
        if judge:
            judge.run(requests, now)
        if requests:
            self._closer.look_at_all(now)
        self._closer.run(now, carried, bool(registered or requests))
        if self._terms.reports:
            self._terms.reports.run(now)
        self._waking.run(now)
        self._clean(now)
        if self._terms.anchoring is not None:
            self._terms.anchoring.run(self._sessions, now)

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
                cleaning.clean(self._spool, self._sessions, self._terms.retention, now)
                cleaning.clear_breaks(self._spool)
            if self._terms.results is not None:
                self._terms.results.clean(self._sessions, now)
            self._clean_at = time.monotonic() + CLEAN_EVERY_S
