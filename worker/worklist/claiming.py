"""Finds items that may be ours and claims them; of two performers that claim one, one has it."""

import logging
from datetime import datetime

from pydicom.uid import generate_uid
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.tracking import AskedWork, HeldWork
from worker.errors import DeliveryFailed, PeerRefused
from worker.worklist import item, progress, service
from worker.worklist.service import UpsService
from worker.worklist.subscriptions import Subscriptions
from worker.worklist_section import Worklist

logger = logging.getLogger(__name__)


class Claiming:
    """Takes items from the worklist into rows, and makes them ours."""

    def __init__(
        self, worklist: Worklist, ups: UpsService, sessions: sessionmaker[Session], subscriptions: Subscriptions
    ) -> None:
        self._worklist, self._ups = worklist, ups
        self._sessions, self._subscriptions = sessions, subscriptions

    def search(self, now: datetime) -> None:
        """Keep the items that are to be claimed, as many as may be ours at one time."""
        with self._sessions.begin() as session:
            room = self._worklist.at_once - tracking.open_workitems(session)
        if room <= 0:
            return
        found = list(dict.fromkeys(uid for one in self._ups.search() if (uid := item.uid_of(one))))
        with self._sessions.begin() as session:
            known = tracking.known_workitems(session, found)
        for uid in (one for one in found if one not in known):
            work = self._read(uid) if room > 0 else None
            if work is not None:
                with self._sessions.begin() as session:
                    tracking.take_workitem(session, work, generate_uid(prefix=None), now)
                room -= 1

    def _read(self, uid: str) -> AskedWork | None:
        """Return what an item asks for; None where it may not be claimed."""
        try:
            found = self._ups.retrieve(uid)
            return item.asked_work(uid, found, self._ups.url) if item.is_ours(found, self._worklist) else None
        except PeerRefused as refusal:
            if refusal.code not in {service.UNKNOWN, service.GONE}:
                raise
        except ValueError:
            # The text of the error may repeat a value, which may name a patient.
            logger.warning("a work item makes no sense", extra={"workitem": uid})
        return None

    def claim(self, held: HeldWork) -> None:
        """Make an item ours, or leave it to the performer who has it.

        The UID that makes it ours was kept before, so a claim of which no answer came is recognized. Raises
        PeerUnreachable and PeerRefused.
        """
        with self._sessions.begin() as session:
            tracking.workitem_claim_tried(session, held.uid)
        try:
            self._take(held)
        except PeerRefused as refusal:
            if refusal.code not in service.CODES_OF_THE_ITEM:
                raise
            logger.info("a work item is another performer's", extra={"workitem": held.uid, "code": refusal.code})
            with self._sessions.begin() as session:
                tracking.forget_workitem(session, held.uid)
            return
        subscribed = self._subscriptions.ensure(held.uid)
        with self._sessions.begin() as session:
            tracking.workitem_claimed(session, held.uid, subscribed)
        logger.info("a work item is ours", extra={"workitem": held.uid})

    def _take(self, held: HeldWork) -> None:
        try:
            self._ups.change(held.uid, held.transaction_uid, service.IN_PROGRESS)
        except PeerRefused as refusal:
            # An earlier try may have been taken though its answer never came: then the update is taken too.
            if refusal.code != service.CONFLICT or held.attempts == 0:
                raise
            self._ups.update(held.uid, held.transaction_uid, progress.begun())
            return
        try:
            self._ups.update(held.uid, held.transaction_uid, progress.begun())
        except DeliveryFailed as failure:
            # It is ours all the same.
            logger.warning("progress is not taken", extra={"workitem": held.uid, "reason": str(failure)})
