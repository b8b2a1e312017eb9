"""The Celery task that seeks proof that a destination has what was sent; what it finds lies in the rows."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.commitment import CommitmentReport
from db.tracking import Change, DueDelivery, SentObject
from worker.delivery import dicom_file
from worker.delivery.archive import Archives, result_file
from worker.delivery.dicom_file import DicomFile
from worker.delivery.proof import COMMITMENT, QUERY, Asked, Finding, Held, Search
from worker.errors import DeliveryFailed, PeerUnreachable
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)
# Archives may need minutes until a query finds what they took: only then is it missing.
ABSENT_TRIES = 3
WAYS = {
    # An archive that takes a request and never reports is asked by a query the next time.
    "auto": ((COMMITMENT, QUERY), (QUERY, COMMITMENT)),
    "commitment": ((COMMITMENT,), (COMMITMENT,)),
    "query": ((QUERY,), (QUERY,)),
    # What was sent before the setting was changed.
    "none": ((COMMITMENT, QUERY), (QUERY, COMMITMENT)),
}


class ProofTask:
    """Asks a destination whether it has the objects of a job, all of them in one request."""

    def __init__(self, settings: WorkerSettings, sessions: sessionmaker[Session], who: str) -> None:
        self._settings = settings
        self._sessions = sessions
        self._who = who
        self._archives = Archives(settings)

    def run(self, job_id: int, destination: str) -> None:
        """Seek a proof for every object of a job that is due, unless another task has taken them."""
        due = DueDelivery(job_id, destination)
        with self._sessions.begin() as session:
            items = tracking.unproven(session, due, self._settings.time_limit_s, datetime.now(UTC))
        files = {item: file for item in items if (file := self._file(item)) is not None}
        if not files:
            return
        found: Finding | DeliveryFailed = PeerUnreachable(
            "the proof ended unexpectedly; the worker's log has the trace", code="unexpected_error"
        )
        try:
            found = self._seek(list(files), list(files.values()), destination)
        except DeliveryFailed as failure:
            found = failure
        finally:
            # Any other error goes on to Celery, which logs it; the rows are given their next try all the same.
            self._note(list(files), found)

    def _file(self, item: SentObject) -> DicomFile | None:
        """Return the UIDs of an object from its file; None where there is no file any more, which is noted."""
        try:
            return dicom_file.read(result_file(self._settings, item.path))
        except DeliveryFailed as failure:
            self._note_failure(item, failure)
            return None

    def _seek(self, items: Sequence[SentObject], files: Sequence[DicomFile], destination: str) -> Finding:
        ways = WAYS[self._archives.described(destination).proof][(items[0].tries - 1) % 2]

        def asking(transaction_uid: str) -> None:
            due_at = datetime.now(UTC) + self._pause(items[0].tries)
            with self._sessions.begin() as session:
                ids = [item.delivery_id for item in items]
                tracking.commitment_asked(session, ids, transaction_uid, due_at)

        return self._archives.at(destination).seek(Search(files, ways, asking))

    def _note(self, items: Sequence[SentObject], found: Finding | DeliveryFailed) -> None:
        if isinstance(found, DeliveryFailed):
            for item in items:
                self._note_failure(item, found)
        elif not isinstance(found, Asked):
            self._note_finding(items, found)

    def _note_finding(self, items: Sequence[SentObject], found: Held | CommitmentReport) -> None:
        change = self._change()
        with self._sessions.begin() as session:
            if isinstance(found, CommitmentReport):
                tracking.reported(session, found, change)
                return
            for item in items:
                if item.sop_uid in found.sop_uids:
                    tracking.proven(session, item.delivery_id, tracking.QUERY, change)
                elif item.tries >= ABSENT_TRIES:
                    tracking.missing(session, item.delivery_id, self._change("not_found", {"tries": item.tries}))
                else:
                    due_at = change.now + self._pause(item.tries)
                    tracking.prove_later(session, item.delivery_id, "a query does not find it", due_at, "not_found")

    def _note_failure(self, item: SentObject, failure: DeliveryFailed) -> None:
        change = self._change(failure.code, failure.detail)
        waited_s = (change.now - item.sent_at).total_seconds()
        with self._sessions.begin() as session:
            if failure.retry and waited_s < self._settings.delivery_give_up_s:
                due_at = change.now + self._pause(item.tries)
                tracking.prove_later(session, item.delivery_id, str(failure), due_at, failure.code)
            else:
                tracking.unprovable(session, item.delivery_id, str(failure), change)
        logger.info("delivery not proven", extra={"sop_uid": item.sop_uid, "code": failure.code})

    def _pause(self, tries: int) -> timedelta:
        seconds = self._settings.proof_wait_s * 2 ** min(tries - 1, 30)
        return timedelta(seconds=min(seconds, self._settings.delivery_retry_max_s))

    def _change(self, code: str | None = None, detail: dict[str, object] | None = None) -> Change:
        return Change(self._who, datetime.now(UTC), code, detail or {})
