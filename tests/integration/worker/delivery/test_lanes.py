"""A destination that hangs delays no other: a real worker, a real broker, a peer that never answers."""

import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from db import tracking
from db.engine import open_database
from db.tables import Delivery
from db.tracking import JobIdentity, JobResults, LeaseTerms, OutputFile
from dicom_node.scheduler.dispatch import Dispatcher
from dicom_node.scp.archive import Archive
from tests.support import databases, servers, services
from tests.support.arrivals import arrivals
from worker.results import files

IDENTITY = JobIdentity("m" * 64, "s" * 64)
JOBS = 4


@pytest.fixture
def hanging() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as door:
        yield int(door.getsockname()[1])


def encoded_jobs(url: str, objects: list[files.WrittenFile], destinations: tuple[str, ...]) -> list[int]:
    recipients = [tracking.Recipient(one) for one in destinations]
    sessions, job_ids = open_database(url), []
    outputs = tuple(OutputFile(f.kind, str(f.path), f.digest, f.sop_uid) for f in objects)
    for number in range(JOBS):
        now, series_uid = datetime.now(UTC), f"1.2.3.{number}"
        with sessions.begin() as session:
            tracking.register(session, arrivals(series_uid, patient_id="P", calling_ae="CT", received_at=now), now)
            tracking.close_series(session, series_uid, "complete", "quiet", {}, now)
            job_ids.append(tracking.open_job(session, series_uid, IDENTITY, now))
            held = tracking.claim(session, job_ids[-1], "worker", LeaseTerms(60, 3), now)
            assert held is not None
            tracking.record_results(session, held, JobResults((), (), outputs), recipients, now)
    sessions.kw["bind"].dispose()
    return job_ids


def test_hard_case_30_a_destination_in_trouble_delays_no_other(
    tmp_path: Path, redis_url: str, archive: Archive, objects: list[files.WrittenFile], hanging: int
) -> None:
    away, there = f"dicom://AWAY@127.0.0.1:{hanging}", f"dicom://ARCHIVE@127.0.0.1:{archive.port}"
    url, broker_url = databases.sqlite(tmp_path / "rows.db"), f"{redis_url[:-1]}5"
    job_ids = encoded_jobs(url, objects, (away, there))
    dispatcher = Dispatcher(broker_url)
    for destination in (away, there):
        for job_id in job_ids:
            assert dispatcher.deliver(job_id, destination)
    worker = servers.worker(tmp_path, url, broker_url, "deliver")
    worker.start()
    try:
        services.wait_until(lambda: " ready." in (tmp_path / "worker.log").read_text(), what="the worker")
        begun = time.monotonic()
        sessions = open_database(url)

        def sent(**fields: str) -> int:
            with sessions.begin() as session:
                return session.query(Delivery).filter_by(destination=there, state="sent", **fields).count()

        # The peer that hangs holds its lane for 10 s with each object.
        services.wait_until(lambda: sent() == JOBS * len(objects), timeout_s=10, what="the other deliveries")
        assert time.monotonic() - begun < 10
        services.wait_until(
            lambda: sent(code="not_proven") == JOBS * len(objects), what="the word that nobody there proves anything"
        )
        sessions.kw["bind"].dispose()
    finally:
        worker.kill()
