"""Follows a claimed item from its images to its end, by the rows of its series alone."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.tracking import Change, HeldWork, Standing
from worker.worklist.images import Patience
from worker.worklist.item import Input, inputs_of
from worker.worklist.reasons import IMAGES_NOT_HERE, NO_INPUT


class Working:
    """Decides what becomes of an item; nothing is told to the worklist here."""

    def __init__(self, sessions: sessionmaker[Session], patience: Patience, who: str) -> None:
        self._sessions, self._patience, self._who = sessions, patience, who

    def step(self, held: HeldWork, now: datetime) -> None:
        """Look where the series of an item stand, and do what follows. Raises PeerUnreachable where fetching fails."""
        inputs = inputs_of(held.asked)
        named = {one.series_uid: one.sop_uids for one in inputs}
        if held.cancel_asked_at is not None and self._is_withdrawn(held, named, now):
            return
        with self._sessions.begin() as session:
            standing = tracking.standing(session, named)
            if standing.here:
                tracking.workitem_here(session, held.uid, standing.here[0], Change(self._who, now))
        missing = [one for one in inputs if one.series_uid not in standing.here]
        if missing or not inputs:
            self._await(held, missing, now)
        elif not standing.waiting:
            self._end(held, standing, now)

    def _is_withdrawn(self, held: HeldWork, series_uids: Collection[str], now: datetime) -> bool:
        """Stop the work as was asked, where nothing was delivered; what others ask for too goes on.

        Returns False where something was: the item is completed then.
        """
        change = Change(self._who, now, tracking.CANCEL_REQUESTED, {"workitem": held.uid})
        with self._sessions.begin() as session:
            ours = set(series_uids) - tracking.shared_series(session, held.uid, series_uids)
            is_stopped = tracking.stop_work(session, ours, change)
            if is_stopped:
                reason = "who asked for it asked to cancel it, and nothing was delivered"
                tracking.workitem_cancels(session, held.uid, reason, change)
        return is_stopped is not False

    def _await(self, held: HeldWork, missing: Sequence[Input], now: datetime) -> None:
        if not missing:
            self._cancel(held, NO_INPUT, "it names no DICOM series", now)
        elif self._patience.is_over(held.claimed_at, now):
            self._cancel(held, IMAGES_NOT_HERE, f"images of {len(missing)} named series did not come", now)
        elif self._patience.fetch(held, missing):
            with self._sessions.begin() as session:
                tracking.workitem_fetched(session, held.uid, now)

    def _end(self, held: HeldWork, standing: Standing, now: datetime) -> None:
        if standing.delivered:
            with self._sessions.begin() as session:
                tracking.workitem_completes(session, held.uid, standing.delivered, Change(self._who, now))
            return
        if all(stop.since is None or self._patience.is_over(stop.since, now) for stop in standing.stops):
            first = standing.stops[0]
            self._cancel(held, first.code, first.reason, now)

    def _cancel(self, held: HeldWork, code: str, reason: str, now: datetime) -> None:
        with self._sessions.begin() as session:
            tracking.workitem_cancels(session, held.uid, reason, Change(self._who, now, code))
