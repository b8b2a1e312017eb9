"""The Celery task that sends the objects of a job to one destination; schedule and outcome lie in the rows."""

import hashlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.tracking import Change, DueDelivery, PendingObject
from worker.delivery import dicom_file
from worker.delivery.archive import Archives, result_file
from worker.errors import DeliveryFailed, PeerRefused, PeerUnreachable
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the time that it is."""
    return datetime.now(UTC)


class DeliveryTask:
    """Sends pending objects, each on its own, and records what the destination said, and when by ``clock``."""

    def __init__(
        self, settings: WorkerSettings, sessions: sessionmaker[Session], who: str, clock: Clock = utc_now
    ) -> None:
        self._settings = settings
        self._sessions = sessions
        self._who = who
        self._clock = clock
        self._archives = Archives(settings)

    def run(self, job_id: int, destination: str) -> None:
        """Send every object of a job that is due for ``destination``, unless another delivery task has taken them."""
        due = DueDelivery(job_id, destination)
        with self._sessions.begin() as session:
            items = tracking.pending(session, due, self._settings.time_limit_s, self._clock())
        for item in items:
            self._deliver(item, destination)

    def _deliver(self, item: PendingObject, destination: str) -> None:
        outcome: int | DeliveryFailed = PeerUnreachable(
            "the delivery ended unexpectedly; the worker's log has the trace", code="unexpected_error"
        )
        try:
            outcome = self._send(item, destination)
        except DeliveryFailed as failure:
            outcome = failure
        finally:
            # Any other error goes on to Celery, which logs it; the row is given its next attempt all the same.
            self._note(item, destination, outcome)

    def _note(self, item: PendingObject, destination: str, outcome: int | DeliveryFailed) -> None:
        if isinstance(outcome, DeliveryFailed):
            self._note_failure(item, outcome)
            return
        with self._sessions.begin() as session:
            prove_at = self._prove_at(item.resent, destination)
            tracking.delivered(session, item.delivery_id, outcome, self._change(), prove_at)
        # Apart from the row: what waits lies in series whose locks are others' to take.
        with self._sessions.begin() as session:
            tracking.reached(session, destination, self._clock())
        logger.info("object delivered", extra={"sop_uid": item.sop_uid, "destination": destination})

    def _prove_at(self, resent: int, destination: str) -> datetime | None:
        """Return when a proof is sought first: at once, or later where the archive did not have it the last time."""
        if self._archives.described(destination).proof == "none":
            return None
        pause_s = self._settings.proof_wait_s * 2 ** (resent - 1) if resent else 0.0
        return self._clock() + timedelta(seconds=pause_s)

    def _send(self, item: PendingObject, destination: str) -> int:
        path = result_file(self._settings, item.path)
        _require_unchanged(path, item.digest)
        if (most := self._archives.described(destination).max_frames) is not None:
            dicom_file.require_frames(path, most)
        return self._archives.at(destination).store(path)

    def _note_failure(self, item: PendingObject, failure: DeliveryFailed) -> None:
        change = self._change(failure.code, failure.detail)
        waited_s = (change.now - item.waiting_since).total_seconds()
        patient = failure.retry and waited_s < self._settings.delivery_give_up_s
        with self._sessions.begin() as session:
            if patient:
                tracking.postpone(
                    session,
                    item.delivery_id,
                    str(failure),
                    change.now + pause_after(item.attempts, failure, self._settings),
                    change,
                )
            else:
                tracking.refuse(session, item.delivery_id, str(failure), failure.detail.get("status"), change)
        logger.warning(
            "object not delivered",
            extra={"sop_uid": item.sop_uid, "code": failure.code, "attempts": item.attempts, "again": patient},
        )

    def _change(self, code: str | None = None, detail: dict[str, object] | None = None) -> Change:
        return Change(self._who, self._clock(), code, detail or {})


def pause_after(attempts: int, failure: DeliveryFailed, settings: WorkerSettings) -> timedelta:
    """Double the pause with each attempt, up to the longest; an archive may ask for a longer one than is due."""
    asked_s = float(failure.detail.get("retry_after_s", 0))
    doubled_s = settings.delivery_retry_s * 2 ** min(attempts - 1, 30)
    return timedelta(seconds=min(max(doubled_s, asked_s), settings.delivery_retry_max_s))


def _require_unchanged(path: Path, digest: str) -> None:
    try:
        unchanged = hashlib.sha256(path.read_bytes()).hexdigest() == digest
    except FileNotFoundError:
        unchanged = False
    except OSError as error:
        raise PeerUnreachable(
            f"the encoded file cannot be read ({error.strerror})",
            code="file_unavailable",
            detail={"errno": error.errno},
        ) from error
    if not unchanged:
        raise PeerRefused(
            "the encoded file is gone or was changed since it was written: nothing was sent", code="output_damaged"
        )
