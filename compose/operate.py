"""The commands of an operator on one job that has stopped."""

from datetime import UTC, datetime
from getpass import getuser
from typing import Annotated

import typer
from sqlalchemy.orm import Session, sessionmaker

from compose import settings
from compose.screen import say
from db import schema, tracking

JobId = Annotated[int, typer.Argument(help="The job, as `scleroscan status` shows it.", metavar="JOB")]


def release(job_id: JobId) -> None:
    """Send a result that waits for review, as it is stored; nothing is computed anew."""
    destinations = settings.load().worker.destinations
    with _rows().begin() as session:
        objects = tracking.release(session, job_id, destinations, _who(), datetime.now(UTC))
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


def _rows() -> sessionmaker[Session]:
    return schema.open_current(settings.load().db_url)


def _who() -> str:
    return f"operator:{getuser()}"
