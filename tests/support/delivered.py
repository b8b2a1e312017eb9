"""A series with a delivered result, as the worker leaves it, and its images removed after their time."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.tracking import Change, DueDelivery, JobResults, LeaseTerms, MeasurementRow, OutputFile, Retention
from dicom_node.scheduler import cleaning
from dicom_node.spool.folder import Spool

AT_ONCE = Retention(*[timedelta(0)] * 4)
PACS = "dicom://PACS@127.0.0.1:104"
RESULTS = JobResults(
    measurements=(MeasurementRow("total", "both", "whole", "extent", 12.5, "%"),),
    flags=(),
    outputs=(OutputFile("sr", "sr.dcm", "b" * 64, "2.25.2"),),
)


def deliver(sessions: sessionmaker[Session], series_uid: str, now: datetime) -> int:
    """Measure and deliver the current job of a series, and return it."""
    with sessions.begin() as session:
        job = tracking.current_series_job(session, series_uid)
        assert job is not None
        job_id = job.id
        held = tracking.claim(session, job_id, "worker", LeaseTerms(60, 3), now)
        assert held is not None
        tracking.record_results(session, held, RESULTS, (tracking.Recipient(PACS),), now)
    with sessions.begin() as session:
        for item in tracking.pending(session, DueDelivery(job_id, PACS), 60, now):
            tracking.delivered(session, item.delivery_id, 0, Change("worker", now))
    return job_id


def deliver_and_remove(spool: Spool, sessions: sessionmaker[Session], series_uid: str, now: datetime) -> int:
    """Deliver the current job of a series, take its images out of the spool, and return the job."""
    job_id = deliver(sessions, series_uid, now)
    assert cleaning.clean(spool, sessions, AT_ONCE, now + timedelta(days=1)) > 0
    return job_id
