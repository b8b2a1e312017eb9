"""A site's rows with two series: one delivered with doubts, one whose archive is away."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.engine import open_database
from db.tracking import (
    Change,
    DueDelivery,
    FlagRow,
    JobIdentity,
    JobResults,
    LeaseTerms,
    MeasurementRow,
    OutputFile,
)
from tests.support import databases
from tests.support.arrivals import arrivals

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PACS = "dicom://PACS@127.0.0.1:104"
IDENTITY = JobIdentity("m" * 64, "s" * 64)
DELIVERED, WAITING = f"1.2.826.0.1.{'1' * 48}", f"1.2.826.0.1.{'2' * 48}"
NEXT_TRY = NOW + timedelta(minutes=7)
EXTENTS = {"total": 12.5, "ggo": 8.0, "reticulation": 3.25, "consolidation": 1.25}


def results(series_uid: str) -> JobResults:
    """What a worker would have measured, with two doubts."""
    extents = [MeasurementRow(region, "both", "whole", "extent", value, "%") for region, value in EXTENTS.items()]
    return JobResults(
        measurements=(MeasurementRow("lung", "both", "whole", "volume", 4000.0, "ml"), *extents),
        flags=(FlagRow("thick_slices", "slices are 5 mm thick", 5.0), FlagRow("gapped", "gaps of 9 mm", 9.0)),
        outputs=(OutputFile("sr", f"{series_uid}.dcm", "b" * 64, f"{series_uid}.99"),),
    )


def measured(session: Session, series_uid: str, now: datetime = NOW, identity: JobIdentity = IDENTITY) -> int:
    """Measure a series, open its delivery, and return the job."""
    job_id = tracking.open_job(session, series_uid, identity, now)
    held = tracking.claim(session, job_id, "worker", LeaseTerms(60, 3), now)
    assert held is not None
    tracking.record_results(session, held, results(series_uid), (tracking.Recipient(PACS),), now)
    return job_id


def received(session: Session, series_uid: str, patient_id: str, calling_ae: str, now: datetime = NOW) -> None:
    """Receive three images of a series and close it."""
    tracking.register(session, arrivals(series_uid, patient_id=patient_id, calling_ae=calling_ae, received_at=now), now)
    tracking.close_series(session, series_uid, "complete", "contiguous", {}, now)


def fill(sessions: sessionmaker[Session]) -> None:
    """Write the rows."""
    with sessions.begin() as session:
        received(session, DELIVERED, "P1", "CT1")
        done = measured(session, DELIVERED)
        for item in tracking.pending(session, DueDelivery(done, PACS), 60, NOW):
            tracking.delivered(session, item.delivery_id, 0, Change("worker", NOW))
    day_later = NOW + timedelta(days=1)
    with sessions.begin() as session:
        received(session, WAITING, "P2", "CT2", day_later)
        waiting = measured(session, WAITING, day_later)
        for item in tracking.pending(session, DueDelivery(waiting, PACS), 60, day_later):
            tracking.postpone(session, item.delivery_id, "no answer", NEXT_TRY, Change("worker", day_later))


def refuse_waiting(sessions: sessionmaker[Session]) -> int:
    """Have the archive refuse for good what waits for it, and return the job, which has failed."""
    with sessions.begin() as session:
        for one in tracking.pending(session, DueDelivery(2, PACS), 60, NEXT_TRY):
            tracking.refuse(session, one.delivery_id, "0xA900", 0xA900, Change("worker", NEXT_TRY, "store_refused"))
    return 2


def site(folder: Path) -> str:
    """Make a database with the rows, and return its URL."""
    url = databases.sqlite(folder / "rows.db")
    sessions = open_database(url)
    fill(sessions)
    sessions.kw["bind"].dispose()
    return url
