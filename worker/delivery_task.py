"""The Celery task that sends the objects of a job to one destination; schedule and outcome lie in the rows."""

import hashlib
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.tracking import Change, DueDelivery, PendingObject
from worker import destinations
from worker.delivery import archive
from worker.delivery.archive import Archive
from worker.destinations import Destination
from worker.errors import DeliveryFailed, PeerRefused, PeerUnreachable
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)


class DeliveryTask:
    """Sends pending objects, each on its own, and records what the destination said."""

    def __init__(self, settings: WorkerSettings, sessions: sessionmaker[Session], who: str) -> None:
        self._settings = settings
        self._sessions = sessions
        self._who = who
        self._archives = {one.url: archive.of(one, settings) for one in destinations.of(settings)}

    def run(self, job_id: int, destination: str) -> None:
        """Send every object of a job that is due for ``destination``, unless another delivery task has taken them."""
        due = DueDelivery(job_id, destination)
        with self._sessions.begin() as session:
            items = tracking.pending(session, due, self._settings.time_limit_s, datetime.now(UTC))
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
            tracking.delivered(session, item.delivery_id, outcome, self._change())
        # Apart from the row: what waits lies in series whose locks are others' to take.
        with self._sessions.begin() as session:
            tracking.reached(session, destination, datetime.now(UTC))
        logger.info("object delivered", extra={"sop_uid": item.sop_uid, "destination": destination})

    def _send(self, item: PendingObject, destination: str) -> int:
        path = self._file(item.path)
        _require_unchanged(path, item.digest)
        return self._archive(destination).store(path)

    def _archive(self, destination: str) -> Archive:
        """Return a destination's archive; a row may name one that is in the settings no longer."""
        if destination not in self._archives:
            try:
                self._archives[destination] = archive.of(Destination(url=destination), self._settings)
            except ValueError as error:
                raise PeerRefused(f"{destination} is no archive's address", code="bad_destination") from error
        return self._archives[destination]

    def _file(self, recorded: str) -> Path:
        """Return the path of an object in the results folder; a row that names another place is not followed there.

        Rows of earlier versions may hold a path relative to the worker's folder.
        """
        path, root = Path(recorded), self._settings.results_dir.resolve()
        if not path.is_absolute() or not _lies_in(root, path):
            path = root / path.parent.name / path.name
        if not _lies_in(root, path):
            raise PeerRefused("the row names no file in the results folder: nothing was sent", code="output_damaged")
        return path

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
        return Change(self._who, datetime.now(UTC), code, detail or {})


def pause_after(attempts: int, failure: DeliveryFailed, settings: WorkerSettings) -> timedelta:
    """Double the pause with each attempt, up to the longest; an archive may ask for a longer one than is due."""
    asked_s = float(failure.detail.get("retry_after_s", 0))
    doubled_s = settings.delivery_retry_s * 2 ** min(attempts - 1, 30)
    return timedelta(seconds=min(max(doubled_s, asked_s), settings.delivery_retry_max_s))


def _lies_in(root: Path, path: Path) -> bool:
    try:
        return path.resolve().is_relative_to(root)
    except RuntimeError:
        # Links that lead to each other lead nowhere: reading says so.
        return True


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
