"""The tracking on real SQLite and real Postgres."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from db import audit, schema, tracking
from db.engine import open_engine
from db.errors import ClaimLost, IllegalTransition, SchemaOutdated
from db.tables import Base, Delivery, Event, Instance, Job, Series
from db.tracking import DueDelivery, FlagRow, JobIdentity, JobResults, LeaseTerms, MeasurementRow, OutputFile

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
IDENTITY = JobIdentity(model_digest="m" * 64, settings_digest="s" * 64)
TERMS = LeaseTerms(lease_s=60, max_attempts=3)
PACS = "dicom://PACS@127.0.0.1:104"
Sessions = sessionmaker[Session]

ARRIVAL = tracking.Arrival(
    sop_uid="1.2.3.1",
    sop_class="1.2.840.10008.5.1.4.1.1.2",
    series_uid="1.2.3",
    study_uid="1.2",
    digest="d" * 64,
    size_bytes=100,
    received_at=NOW,
    calling_ae="SCANNER",
    receiving_ae="SCLEROSCAN",
    transfer_syntax="1.2.840.10008.1.2.1",
    path="spool/1.dcm",
    patient_id="P1",
    patient_name="PHANTOM^ONE",
    accession_number="A1",
    study_date="20260102",
    modality="CT",
    series_description="chest",
    plane=None,
)
RESULTS = JobResults(
    measurements=(
        MeasurementRow("lung", "both", "whole", "volume", 4000.0, "ml"),
        MeasurementRow("total", "both", "whole", "extent", 12.5, "%"),
    ),
    flags=(FlagRow("thick_slices", "slices are 5 mm thick", 5.0),),
    outputs=(OutputFile("seg", "seg.dcm", "a" * 64, "2.25.1"), OutputFile("sr", "sr.dcm", "b" * 64, "2.25.2")),
)


def images(count: int, **changes: Any) -> list[tracking.Arrival]:
    return [replace(ARRIVAL, sop_uid=f"1.2.3.{n}", path=f"spool/{n}.dcm", **changes) for n in range(count)]


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def opened(sessions: Sessions, count: int = 3) -> int:
    with sessions.begin() as session:
        tracking.register(session, images(count), NOW)
        tracking.close_series(session, "1.2.3", "complete", "contiguous", {}, NOW)
        return tracking.open_job(session, "1.2.3", IDENTITY, NOW)


def claimed(sessions: Sessions, job_id: int, now: datetime = NOW) -> tracking.Claim:
    with sessions.begin() as session:
        held = tracking.claim(session, job_id, "worker", TERMS, now)
    assert held is not None
    return held


def job_state(sessions: Sessions, job_id: int) -> str:
    with sessions.begin() as session:
        return session.get_one(Job, job_id).state


def _is_of_the_dialect(session: Session) -> Callable[..., bool]:
    """Leave out what the code declares for another database: Alembic does not ask."""

    def is_meant(item: Any, *_: Any) -> bool:
        condition = getattr(item, "_ddl_if", None)
        return condition is None or condition.dialect == session.get_bind().dialect.name

    return is_meant


def test_the_migrations_make_exactly_the_tables_of_the_code(sessions: Sessions) -> None:
    with sessions.begin() as session:
        ours = MigrationContext.configure(session.connection(), opts={"include_object": _is_of_the_dialect(session)})
        found = compare_metadata(ours, Base.metadata)
    assert found == []


def test_a_database_without_tables_is_refused_with_the_way_out(tmp_path: Any) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(SchemaOutdated, match="scleroscan db upgrade"):
        schema.require_newest(engine)
    engine.dispose()


def test_the_same_image_twice_is_one_row(sessions: Sessions) -> None:
    with sessions.begin() as session:
        assert tracking.register(session, images(2), NOW).series == {"1.2.3"}
        assert tracking.register(session, images(2), later(5)).series == set()
        assert session.query(Instance).count() == 2
        assert session.get_one(Series, "1.2.3").last_arrival_at == NOW


def test_other_bytes_under_a_uid_replace_but_keep_the_first(sessions: Sessions) -> None:
    with sessions.begin() as session:
        tracking.register(session, images(1), NOW)
        tracking.register(session, images(1, digest="e" * 64, received_at=later(1)), later(1))
        rows = session.scalars(select(Instance).order_by(Instance.id)).all()
        assert [(r.digest[0], r.replaced_at) for r in rows] == [("d", later(1)), ("e", None)]


@pytest.mark.parametrize(
    ("state", "code", "opened"),
    [
        ("incomplete", "association_broken_off", {"1.2.3"}),
        ("incomplete", "fewer_than_expected", set()),
        ("complete", "contiguous", set()),
    ],
)
def test_the_same_images_open_only_a_series_broken_off(
    sessions: Sessions, state: str, code: str, opened: set[str]
) -> None:
    with sessions.begin() as session:
        tracking.register(session, images(3), NOW)
        tracking.close_series(session, "1.2.3", state, code, {}, later(30))
        assert tracking.register(session, images(2, received_at=later(60)), later(61)).series == opened
        series = session.get_one(Series, "1.2.3")
        assert (series.state == "receiving", series.last_arrival_at == later(60)) == (bool(opened), bool(opened))
        assert session.query(Instance).count() == 3


def test_a_late_image_reopens_its_series_and_supersedes_its_job(sessions: Sessions) -> None:
    first = opened(sessions)
    with sessions.begin() as session:
        tracking.register(session, images(4), later(100))
        assert session.get_one(Series, "1.2.3").state == "receiving"
        tracking.close_series(session, "1.2.3", "complete", "contiguous", {}, later(130))
        second = tracking.open_job(session, "1.2.3", IDENTITY, later(130))
        assert session.get_one(Job, second).supersedes_id == first
    assert job_state(sessions, first) == "superseded"


def test_one_instance_set_has_one_job(sessions: Sessions) -> None:
    first = opened(sessions)
    with sessions.begin() as session:
        assert tracking.open_job(session, "1.2.3", IDENTITY, later(1)) == first


def test_a_job_is_claimed_by_one_of_many(sessions: Sessions) -> None:
    job_id = opened(sessions)

    def try_to_claim(number: int) -> bool:
        with sessions.begin() as session:
            return tracking.claim(session, job_id, f"worker {number}", TERMS, NOW) is not None

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(try_to_claim, range(8))) == 1


def test_a_claim_whose_lease_ended_can_write_nothing_more(sessions: Sessions) -> None:
    job_id = opened(sessions)
    first = claimed(sessions, job_id)
    second = claimed(sessions, job_id, later(61))
    assert (first.attempt, second.attempt) == (1, 2)
    with pytest.raises(ClaimLost), sessions.begin() as session:
        tracking.record_results(session, first, RESULTS, (tracking.Recipient(PACS),), later(62))
    with sessions.begin() as session:
        tracking.record_results(session, second, RESULTS, (tracking.Recipient(PACS),), later(62))
        assert len(audit.results(session)) == 1


def test_a_renewed_lease_keeps_the_job(sessions: Sessions) -> None:
    job_id = opened(sessions)
    held = claimed(sessions, job_id)
    with sessions.begin() as session:
        tracking.renew(session, held, later(50))
        assert tracking.claim(session, job_id, "other", TERMS, later(61)) is None


def test_a_job_that_ends_its_worker_three_times_rests_as_failed(sessions: Sessions) -> None:
    job_id = opened(sessions)
    for round_ in range(3):
        claimed(sessions, job_id, later(61 * round_))
    with sessions.begin() as session:
        assert tracking.claim(session, job_id, "worker", TERMS, later(500)) is None
    assert job_state(sessions, job_id) == "failed"
    with sessions.begin() as session:
        assert session.get_one(Job, job_id).code == "attempts_exhausted"
        tracking.retry(session, job_id, "operator", later(600))
    assert claimed(sessions, job_id, later(601)).attempt == 4


def test_a_lost_message_is_repaired_by_the_sweep(sessions: Sessions) -> None:
    job_id = opened(sessions)
    with sessions.begin() as session:
        assert tracking.due_jobs(session, NOW) == [job_id]
        assert tracking.due_jobs(session, later(1000)) == []
        assert tracking.unanswered(session, later(30), later(-1)) == {"analyse": 0, "deliver": 0}
        assert tracking.unanswered(session, later(30), NOW) == {"analyse": 1, "deliver": 0}
        tracking.wake_again(session, "analyse", later(30), NOW)
        assert tracking.due_jobs(session, later(30)) == [job_id]
    claimed(sessions, job_id, later(31))
    with sessions.begin() as session:
        assert tracking.due_jobs(session, later(90)) == []
        assert tracking.due_jobs(session, later(91)) == [job_id]
        assert tracking.due_jobs(session, later(1000)) == []


def test_lost_wake_ups_of_deliveries_are_counted_by_message(sessions: Sessions) -> None:
    job_id, other = encoded(sessions, (PACS, "dicom://OTHER@127.0.0.1:104")), "dicom://OTHER@127.0.0.1:104"
    both = [DueDelivery(job_id, PACS), DueDelivery(job_id, other)]
    with sessions.begin() as session:
        assert tracking.due_deliveries(session, later(11)) == both
        # Two objects each, and one message.
        assert tracking.unanswered(session, later(41), later(11)) == {"analyse": 0, "deliver": 2}
    taken(sessions, job_id, later(42))
    with sessions.begin() as session:
        assert tracking.unanswered(session, later(43), later(11)) == {"analyse": 0, "deliver": 1}
        tracking.wake_again(session, "deliver", later(43), later(11))
        assert tracking.due_deliveries(session, later(43)) == both[1:]
        # What was being sent is due again when its lease ends.
        assert tracking.due_deliveries(session, later(102)) == both[:1]


def encoded(sessions: Sessions, destinations: tuple[str, ...]) -> int:
    job_id = opened(sessions)
    held = claimed(sessions, job_id)
    with sessions.begin() as session:
        tracking.record_results(session, held, RESULTS, [tracking.Recipient(one) for one in destinations], later(10))
    return job_id


def taken(sessions: Sessions, job_id: int, now: datetime) -> tuple[tracking.PendingObject, ...]:
    with sessions.begin() as session:
        return tracking.pending(session, DueDelivery(job_id, PACS), 60, now)


def test_a_job_is_delivered_when_every_object_is_sent(sessions: Sessions) -> None:
    job_id = encoded(sessions, (PACS,))
    with sessions.begin() as session:
        assert tracking.due_deliveries(session, later(11)) == [DueDelivery(job_id, PACS)]
    first, second = taken(sessions, job_id, later(11))
    assert taken(sessions, job_id, later(12)) == ()
    for item, state in ((first, "encoded"), (second, "delivered")):
        with sessions.begin() as session:
            tracking.delivered(session, item.delivery_id, 0, tracking.Change("worker", later(13)))
        assert job_state(sessions, job_id) == state
    with sessions.begin() as session:
        row = audit.results(session)[0]
        assert (row["patient_id"], row["instances"], row["goh_category"]) == ("P1", 3, "indeterminate, FVC required")
        assert (row["assessed_at"], row["delivered_at"]) == (later(10), later(13))


def test_a_passing_failure_keeps_its_schedule_in_the_row(sessions: Sessions) -> None:
    job_id = encoded(sessions, (PACS,))
    for item in taken(sessions, job_id, later(11)):
        with sessions.begin() as session:
            tracking.postpone(session, item.delivery_id, "no answer", later(40), tracking.Change("worker", later(12)))
    assert taken(sessions, job_id, later(39)) == ()
    assert [item.attempts for item in taken(sessions, job_id, later(40))] == [2, 2]


def test_a_refused_object_fails_its_job_and_only_it_is_retried(sessions: Sessions) -> None:
    job_id = encoded(sessions, (PACS,))
    first, second = taken(sessions, job_id, later(11))
    change = tracking.Change("worker", later(12), "peer_refused")
    with sessions.begin() as session:
        tracking.delivered(session, first.delivery_id, 0, change)
        tracking.refuse(session, second.delivery_id, "no presentation context", None, change)
    assert job_state(sessions, job_id) == "failed"
    with sessions.begin() as session:
        tracking.retry(session, job_id, "operator", later(20))
    held = claimed(sessions, job_id, later(21))
    with sessions.begin() as session:
        assert tracking.encoded_before(session, held)
        tracking.resume(session, held, (tracking.Recipient(PACS),), later(22))
    assert [item.delivery_id for item in taken(sessions, job_id, later(23))] == [second.delivery_id]


def test_a_result_in_review_is_stored_and_not_delivered(sessions: Sessions) -> None:
    job_id = opened(sessions)
    held = claimed(sessions, job_id)
    failure = tracking.Failure("implausible_lung_volume", "the lungs hold 12 l", {"lung_volume_ml": 12000})
    with sessions.begin() as session:
        tracking.record_for_review(session, held, RESULTS, failure, later(10))
        assert session.query(Delivery).count() == 0
        assert audit.results(session)[0]["state"] == "review"


def test_a_delivered_job_cannot_be_retried(sessions: Sessions) -> None:
    job_id = opened(sessions)
    with pytest.raises(IllegalTransition), sessions.begin() as session:
        tracking.retry(session, job_id, "operator", NOW)


def test_events_can_be_neither_changed_nor_removed(sessions: Sessions) -> None:
    opened(sessions)
    for statement in ("UPDATE event SET who = 'nobody'", "DELETE FROM event"):
        with pytest.raises(DBAPIError, match="only ever added"), sessions.begin() as session:
            session.execute(text(statement))


def test_the_chain_names_the_event_that_was_tampered_with(sessions: Sessions) -> None:
    opened(sessions)
    with sessions.begin() as session:
        assert tracking.verify_chain(session, "1.2.3") is None
        trail = audit.trail(session, "1.2.3")
        assert [(e["subject"], e["to_state"]) for e in trail] == [
            ("series", "receiving"),
            ("series", "complete"),
            ("job", "queued"),
        ]
        if session.get_bind().dialect.name == "sqlite":
            session.execute(text("DROP TRIGGER event_never_updated"))
        else:
            session.execute(text("ALTER TABLE event DISABLE TRIGGER event_append_only"))
        session.execute(text("UPDATE event SET code = 'invented' WHERE sequence = 2"))
        session.expire_all()
        assert tracking.verify_chain(session, "1.2.3") == "event 2 of series 1.2.3 was changed after it was written"


def test_a_state_change_and_its_event_are_one_transaction(sessions: Sessions) -> None:
    job_id = opened(sessions)
    session = sessions()
    tracking.claim(session, job_id, "worker", TERMS, NOW)
    session.close()
    assert job_state(sessions, job_id) == "queued"
    with sessions.begin() as session:
        assert session.query(Event).filter(Event.to_state == "running").count() == 0


def test_status_tells_why_a_job_was_rejected(sessions: Sessions) -> None:
    job_id = opened(sessions)
    held = claimed(sessions, job_id)
    failure = tracking.Failure("missing_slices", "1 slice is missing", {"missing": 1})
    with sessions.begin() as session:
        tracking.finish(session, held, "rejected", failure, later(5))
        row = audit.status(session)[0]
    assert (row.state, row.code, row.detail, row.instances) == ("rejected", "missing_slices", {"missing": 1}, 3)
