"""Lets one of several schedulers work: it leads, the others watch its beat and take over when the beat stops."""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.tracking import Leadership

logger = logging.getLogger(__name__)
# A leader whose beat has not changed for so long is replaced.
LEASE_S = 6.0
BEATS_PER_LEASE = 3
# A leader whose scheduler loop has not come round for so long is stuck, and resigns.
LONGEST_TICK_S = 300.0


class Candidacy:
    """The part of one scheduler in choosing the leader.

    Parameters
    ----------
    sessions
        The database that all schedulers share.
    holder
        A name that no other process has.
    lease_s
        How long a beat may stand still; another scheduler leads after at most twice that time.
    clock
        Returns seconds of a clock that is never set.
    """

    def __init__(
        self,
        sessions: sessionmaker[Session],
        holder: str,
        lease_s: float = LEASE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sessions = sessions
        self._holder = holder
        self._lease_s = lease_s
        self._clock = clock
        self._leads = False
        self._seen: tuple[Leadership, float] | None = None
        self._came_round_at = clock()

    @property
    def leads(self) -> bool:
        """Whether this process is the leader."""
        return self._leads

    def came_round(self) -> None:
        """Note that the scheduler's loop has come round, so it is not stuck."""
        self._came_round_at = self._clock()

    def run(self, stop: Event) -> None:
        """Beat, or watch the beat of another, until ``stop`` is set; then resign."""
        try:
            self._try_once()
            while not stop.wait(self._lease_s / BEATS_PER_LEASE):
                self._try_once()
        finally:
            self._resign()

    def _try_once(self) -> None:
        try:
            self.step(datetime.now(UTC))
        except SQLAlchemyError as error:
            # Nobody can beat or take over while the database is away, so the watch over a beat begins anew after it.
            self._seen = None
            logger.debug("leadership not looked at", extra={"error": type(error).__name__})

    def step(self, now: datetime) -> None:
        """Beat once where this process leads; else look once at the leader's beat, and take over if it stood still."""
        led = self._leads
        self._leads = self._kept(now) if led else self._won(now)
        if self._leads != led:
            logger.info("this scheduler leads" if self._leads else "another scheduler leads", extra=self._facts())

    def _kept(self, now: datetime) -> bool:
        if self._clock() - self._came_round_at > LONGEST_TICK_S:
            logger.error("the scheduler is stuck and leaves its work to another", extra=self._facts())
            self._resign()
            return False
        with self._sessions.begin() as session:
            return tracking.beat(session, self._holder, now)

    def _won(self, now: datetime) -> bool:
        with self._sessions.begin() as session:
            found = tracking.leadership(session)
            if self._seen is None or self._seen[0] != found:
                self._seen = found, self._clock()
            stood_still = self._clock() - self._seen[1] > self._lease_s
            if found.holder is not None and not stood_still:
                return False
            self.came_round()
            return tracking.take_over(session, found, self._holder, now)

    def _resign(self) -> None:
        self._leads = False
        try:
            with self._sessions.begin() as session:
                tracking.resign(session, self._holder)
        except SQLAlchemyError as error:
            logger.debug("leadership not resigned", extra={"error": type(error).__name__})

    def _facts(self) -> dict[str, object]:
        return {"holder": self._holder}
