"""The commands of an operator on one job that has stopped, or on one series."""

from datetime import UTC, datetime
from getpass import getuser
from typing import Annotated

import typer
from sqlalchemy.orm import Session, sessionmaker

from compose import settings
from compose.screen import say
from db import schema, tracking
from worker import destinations, identity

SeriesUid = Annotated[str, typer.Argument(help="Series Instance UID.", metavar="SERIES")]
JobId = Annotated[int, typer.Argument(help="The job, as `scleroscan status` shows it.", metavar="JOB")]


def release(job_id: JobId) -> None:
    """Send a result that waits for review, as it is stored; nothing is computed anew."""
    recipients = destinations.recipients(settings.load().worker)
    with _rows().begin() as session:
        objects = tracking.release(session, job_id, recipients, _who(), datetime.now(UTC))
    say(f"job {job_id} is released, {objects} objects are to be sent")


def discard(job_id: JobId) -> None:
    """End a job in review, or one that failed, for good: rows and results are kept, nothing is sent."""
    with _rows().begin() as session:
        tracking.discard(session, job_id, _who(), datetime.now(UTC))
    say(f"job {job_id} is discarded")


def recompute(job_id: JobId) -> None:
    """Queue a failed or rejected job, or one in review, anew: nothing that it left behind is used again."""
    with _rows().begin() as session:
        tracking.recompute(session, job_id, _who(), datetime.now(UTC))
    say(f"job {job_id} is queued, to be computed anew")


def retry(job_id: JobId) -> None:
    """Queue a failed job again, or send at once what waits to be; results already encoded are sent, not made anew."""
    with _rows().begin() as session:
        due = tracking.retry(session, job_id, _who(), datetime.now(UTC))
    say(f"{due} deliveries of job {job_id} are due now" if due else f"job {job_id} is queued again")


def reconsider(series_uid: SeriesUid) -> None:
    """Judge a skipped series anew, by the rules that the scheduler has read at its start."""
    with _rows().begin() as session:
        tracking.reconsider(session, series_uid, _who(), datetime.now(UTC))
    say(f"series {series_uid} is judged anew within seconds, by the rules as they were when the scheduler started")


def measure(series_uid: SeriesUid) -> None:
    """Measure a series again with the model that is now installed; the result before it is kept beside, superseded."""
    identity_now = identity.current(settings.load().worker)
    with _rows().begin() as session:
        job_id = tracking.measure(session, series_uid, identity_now, _who(), datetime.now(UTC))
    say(f"job {job_id} is queued: it measures series {series_uid} with model {identity_now.model_digest[:12]}…")


def _rows() -> sessionmaker[Session]:
    return schema.open_current(settings.load().db_url)


def _who() -> str:
    return f"operator:{getuser()}"
