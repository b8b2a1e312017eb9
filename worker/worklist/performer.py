"""Performs the items of a worklist: searches, claims, follows, ends; every step stands in the rows before the next."""

import logging
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Event

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.states import WorkitemState
from db.tracking import Change, HeldWork
from worker import pulse
from worker.delivery_task import pause_after
from worker.errors import DeliveryFailed, PeerUnreachable
from worker.settings import WorkerSettings
from worker.worklist import service
from worker.worklist.cancel_requests import CancelRequests
from worker.worklist.claiming import Claiming
from worker.worklist.ending import Ending
from worker.worklist.images import ImageSource, Patience
from worker.worklist.service import UpsService
from worker.worklist.subscriptions import Subscriptions
from worker.worklist.working import Working
from worker.worklist_section import Worklist

logger = logging.getLogger(__name__)
PERFORM = "perform"
STEP_S = 1.0


class Performer:
    """The performer of one worklist; of several on one database each step is taken once, or twice with no harm.

    Parameters
    ----------
    source
        Where images are fetched from; None where the site has no such archive.
    """

    def __init__(
        self,
        worklist: Worklist,
        settings: WorkerSettings,
        sessions: sessionmaker[Session],
        source: ImageSource | None,
        who: str,
    ) -> None:
        ups = UpsService(worklist)
        self._cancels: deque[tuple[str, str]] = deque()
        self._answers: bool | None = None
        self._worklist, self._settings, self._sessions, self._who = worklist, settings, sessions, who
        self._subscriptions = Subscriptions(ups, CancelRequests(worklist, self._heard), settings.ae_title)
        self._patience = Patience(worklist, source)
        self._claiming = Claiming(worklist, ups, sessions, self._subscriptions)
        working = Working(sessions, self._patience, who)
        ending = Ending(worklist, ups, settings, sessions, who)
        self._steps: dict[WorkitemState, Callable[[HeldWork, datetime], None]] = {
            WorkitemState.CLAIMING: lambda held, _now: self._claiming.claim(held),
            WorkitemState.WORKING: working.step,
            WorkitemState.COMPLETING: ending.step,
            WorkitemState.CANCELING: ending.step,
        }

    def run(self, stop: Event) -> None:
        """Work until ``stop`` is set."""
        searched_at = -self._worklist.poll_s
        while not stop.is_set():
            try:
                with pulse.beating(self._sessions, PERFORM, self._who):
                    if time.monotonic() - searched_at >= self._worklist.poll_s:
                        searched_at = time.monotonic()
                        self.search(datetime.now(UTC))
                    self.advance(datetime.now(UTC))
            except SQLAlchemyError as error:
                logger.warning("the worklist waits for the database", extra={"error": type(error).__name__})
            stop.wait(STEP_S)
        self.close()

    def close(self) -> None:
        """Listen no more."""
        self._subscriptions.close()

    def search(self, now: datetime) -> None:
        """Look for items; say once that the worklist is in trouble, and once that it is back: then nothing pauses."""
        try:
            self._claiming.search(now)
        except DeliveryFailed as failure:
            facts = {"code": failure.code, "reason": str(failure)}
            logger.log(logging.DEBUG if self._answers is False else logging.WARNING, "worklist away", extra=facts)
            self._answers = False
            return
        if not self._answers:
            logger.info("worklist answers", extra={"url": self._worklist.url})
            with self._sessions.begin() as session:
                tracking.wake_workitems(session, now)
        self._answers = True

    def advance(self, now: datetime) -> None:
        """Take the next step of each item that is ours and due."""
        self._note_cancels(now)
        with self._sessions.begin() as session:
            due = tracking.due_workitems(session, now)
        for held in due:
            self._advance(held, now)

    def _advance(self, held: HeldWork, now: datetime) -> None:
        failure: DeliveryFailed | None = PeerUnreachable(
            "the step ended unexpectedly; the performer's log has the trace", code="unexpected_error"
        )
        try:
            if held.state == WorkitemState.WORKING:
                self._subscriptions.ensure(held.uid)
            self._steps[held.state](held, now)
            failure = None
        except DeliveryFailed as error:
            failure = error
        finally:
            # Any other error ends this process, which is started again; the item has its pause all the same.
            self._note(held, failure, now)

    def _note(self, held: HeldWork, failure: DeliveryFailed | None, now: datetime) -> None:
        with self._sessions.begin() as session:
            if failure is None:
                if held.attempts and held.state == WorkitemState.WORKING:
                    tracking.workitem_goes_on(session, held.uid)
                return
            waited_s = (now - (held.troubled_since or now)).total_seconds()
            if failure.code in service.CODES_OF_THE_ITEM or waited_s >= self._settings.delivery_give_up_s:
                change = Change(self._who, now, failure.code, failure.detail)
                tracking.workitem_lost(session, held.uid, str(failure), change)
            else:
                tracking.workitem_waits(session, held.uid, str(failure), self._next_try(held, failure, now), now)
        facts = {"workitem": held.uid, "state": held.state, "code": failure.code, "reason": str(failure)}
        logger.warning("a work item has to wait, or is lost", extra=facts)

    def _next_try(self, held: HeldWork, failure: DeliveryFailed, now: datetime) -> datetime:
        again = now + pause_after(held.attempts + 1, failure, self._settings)
        if held.state != WorkitemState.WORKING:
            return again
        # Images are given up in time, however long the source is away.
        return min(again, max(self._patience.until(held.claimed_at), now + timedelta(seconds=STEP_S)))

    def _heard(self, uid: str, said: str) -> None:
        """Take a request to cancel; in the thread that listens, so that it is noted by the one that works."""
        logger.info("asked to cancel a work item", extra={"workitem": uid})
        self._cancels.append((uid, said))

    def _note_cancels(self, now: datetime) -> None:
        while self._cancels:
            uid, said = self._cancels[0]
            with self._sessions.begin() as session:
                tracking.ask_to_cancel(session, uid, said, Change(self._who, now))
            self._cancels.popleft()
