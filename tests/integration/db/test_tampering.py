"""What a stranger changes in rows, files and events is named by the audit, on SQLite and on Postgres."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.tables import Event
from db.tracking import Failure, OutputFile
from db.tracking.events import CHAIN_START, chain_hash
from tests.integration.db.test_tracking import PACS, RESULTS, claimed, later, opened

Sessions = sessionmaker[Session]


def written(folder: Path) -> tracking.JobResults:
    """Return results whose files lie in a folder."""
    outputs = []
    for kind, uid in (("seg", "2.25.1"), ("sr", "2.25.2")):
        path = folder / f"{kind}.dcm"
        path.write_bytes(kind.encode())
        outputs.append(OutputFile(kind, str(path), hashlib.sha256(kind.encode()).hexdigest(), uid))
    return replace(RESULTS, outputs=tuple(outputs))


@pytest.fixture
def job_id(sessions: Sessions, tmp_path: Path) -> int:
    """A job that has ended, with its files and two deliveries."""
    job_id = opened(sessions)
    held = claimed(sessions, job_id)
    with sessions.begin() as session:
        tracking.record_results(session, held, written(tmp_path), (tracking.Recipient(PACS),), later(10))
    assert fault(sessions) is None
    return job_id


def fault(sessions: Sessions) -> str | None:
    with sessions.begin() as session:
        return tracking.verify_series(session, "1.2.3")


def tamper(sessions: Sessions, *statements: str) -> None:
    """Run statements as somebody does who owns the database: triggers and foreign keys are off."""
    with sessions.begin() as session:
        if session.get_bind().dialect.name == "sqlite":
            for name in ("event_never_updated", "event_never_deleted"):
                session.execute(text(f"DROP TRIGGER IF EXISTS {name}"))
            session.execute(text("PRAGMA defer_foreign_keys=ON"))
        else:
            session.execute(text("SET session_replication_role = replica"))
        for statement in statements:
            session.execute(text(statement))
        if session.get_bind().dialect.name != "sqlite":
            session.execute(text("SET session_replication_role = DEFAULT"))


CHANGED = "numbers, outputs, images or patient of job 1 were changed after it ended"
TAMPERED = {
    "a number": ("UPDATE measurement SET value = 1.0 WHERE region = 'total'", CHANGED),
    "a number removed": ("DELETE FROM measurement WHERE region = 'total'", CHANGED),
    "a flag removed": ("DELETE FROM quality_flag", CHANGED),
    "the patient": ("UPDATE instance SET patient_id = 'P2' WHERE sop_uid = '1.2.3.1'", CHANGED),
    "an image left out": ("DELETE FROM job_instance WHERE instance_id = 1", CHANGED),
    "an output's digest": ("UPDATE output SET digest = 'x' WHERE kind = 'seg'", CHANGED),
    "the job's model": ("UPDATE job SET model_digest = 'x'", CHANGED),
    "the job's state": ("UPDATE job SET state = 'delivered'", "job 1 is delivered, its last event says encoded"),
    "a delivery's state": ("UPDATE delivery SET state = 'sent' WHERE id = 1", "delivery 1 is sent, its last"),
    "a delivery removed": ("DELETE FROM delivery WHERE id = 2", "the row of delivery 2 is gone"),
    "the series' state": (
        "UPDATE series SET state = 'skipped'",
        "series 1.2.3 is skipped, its last event says",
    ),
    "the last events": ("DELETE FROM event WHERE subject = 'delivery'", "delivery 1 has no events"),
    "all events": ("DELETE FROM event", "series 1.2.3 has no events"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_what_is_changed_behind_the_audit_is_named(sessions: Sessions, job_id: int, what: str) -> None:
    statement, said = TAMPERED[what]
    tamper(sessions, statement)
    assert str(fault(sessions)).startswith(said)


def test_all_events_of_a_job_removed_are_seen_in_a_new_chain(sessions: Sessions, job_id: int) -> None:
    tamper(sessions, "DELETE FROM event WHERE subject <> 'series'")
    recompute_chain(sessions)
    assert fault(sessions) == "job 1 has no events"


def test_a_recomputed_chain_still_contradicts_the_rows(sessions: Sessions, job_id: int) -> None:
    tamper(sessions, "DELETE FROM event WHERE to_state = 'encoded'", "UPDATE measurement SET value = 1.0")
    recompute_chain(sessions)
    assert fault(sessions) == "job 1 is encoded, its last event says running"


def recompute_chain(sessions: Sessions) -> None:
    """Number the events anew and write every hash again, as a forger would."""
    with sessions.begin() as session:
        if session.get_bind().dialect.name != "sqlite":
            session.execute(text("SET session_replication_role = replica"))
        previous = CHAIN_START
        for sequence, event in enumerate(session.query(Event).order_by(Event.sequence).all(), start=1):
            event.sequence, event.previous_hash = sequence, previous
            event.hash = previous = chain_hash(event)
            session.flush()
        if session.get_bind().dialect.name != "sqlite":
            session.execute(text("SET session_replication_role = DEFAULT"))


def test_a_changed_or_missing_file_is_named(sessions: Sessions, job_id: int, tmp_path: Path) -> None:
    (tmp_path / "sr.dcm").write_bytes(b"another")
    assert fault(sessions) == "the sr of job 1 was changed after it was written"
    (tmp_path / "seg.dcm").unlink()
    assert fault(sessions) == "the seg of job 1 cannot be read: No such file or directory"


def test_files_that_left_after_their_time_are_no_fault(sessions: Sessions, job_id: int, tmp_path: Path) -> None:
    with sessions.begin() as session:
        for item in tracking.pending(session, tracking.DueDelivery(job_id, PACS), 60, later(11)):
            tracking.delivered(session, item.delivery_id, 0, tracking.Change("worker", later(12)))
    change = tracking.Change("scheduler", later(20), "test")
    with sessions.begin() as session:
        assert tracking.remove_results(session, job_id, later(15), lambda: delete(tmp_path), change) == 2
    assert fault(sessions) is None


def delete(folder: Path) -> int:
    files = list(folder.glob("*.dcm"))
    for file in files:
        file.unlink()
    return len(files)


def test_a_job_that_ends_without_results_is_sealed_too(sessions: Sessions) -> None:
    held = claimed(sessions, opened(sessions))
    with sessions.begin() as session:
        tracking.finish(session, held, "rejected", Failure("not_chest", "no lung"), later(5))
    assert fault(sessions) is None
    tamper(sessions, "UPDATE instance SET patient_id = 'P2'")
    assert fault(sessions) == CHANGED


def test_a_recomputed_job_is_whole_although_rows_left(sessions: Sessions, job_id: int, tmp_path: Path) -> None:
    change = tracking.Change("worker", later(12), "peer_refused")
    with sessions.begin() as session:
        for item in tracking.pending(session, tracking.DueDelivery(job_id, PACS), 60, later(11)):
            tracking.refuse(session, item.delivery_id, "no presentation context", None, change)
    with sessions.begin() as session:
        tracking.recompute(session, job_id, "operator", later(20))
    assert fault(sessions) is None
    held = claimed(sessions, job_id, later(21))
    with sessions.begin() as session:
        tracking.record_results(session, held, written(tmp_path), (tracking.Recipient(PACS),), later(30))
    assert fault(sessions) is None


def test_a_series_that_nobody_knows_is_a_fault(sessions: Sessions) -> None:
    assert fault(sessions) == "series 1.2.3 has no events"


def test_no_event_can_be_replaced(sessions: Sessions, job_id: int) -> None:
    replacing = {
        "sqlite": "INSERT OR REPLACE INTO event SELECT * FROM event WHERE sequence = 2",
        "postgresql": "UPDATE event SET who = who WHERE sequence = 2",
    }
    with pytest.raises(DBAPIError, match="only ever added"), sessions.begin() as session:
        session.execute(text(replacing[session.get_bind().dialect.name]))
