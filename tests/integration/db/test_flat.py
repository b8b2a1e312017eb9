"""What the scheduler asks again and again, and what a series costs, does not grow with what is there already."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.tracking import Change, DueDelivery, Failure, LeaseTerms, MeasurementRow
from tests.support import site_rows
from tests.support.arrivals import arrivals
from tests.support.site_rows import IDENTITY, NOW, PACS

FEW, MANY = 10, 60
TERMS = LeaseTerms(60, 3)
LATER, MUCH_LATER = NOW + timedelta(seconds=5), NOW + timedelta(days=2)
READ_SO_FAR = "SELECT SUM(seq_tup_read + COALESCE(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables"


def uid(number: int) -> str:
    return f"1.2.{number}"


def delivered(session: Session, number: int) -> None:
    job_id = in_its_turn(session, number)
    for item in tracking.pending(session, DueDelivery(job_id, PACS), 60, NOW):
        tracking.delivered(session, item.delivery_id, 0, Change("worker", NOW))


def in_its_turn(session: Session, number: int) -> int:
    site_rows.received(session, uid(number), f"P{number}", "CT1")
    return site_rows.measured(session, uid(number))


def archive_away(session: Session, number: int) -> None:
    for item in tracking.pending(session, DueDelivery(in_its_turn(session, number), PACS), 60, NOW):
        tracking.postpone(session, item.delivery_id, "away", MUCH_LATER, Change("worker", NOW, "no_answer"))


def queued(session: Session, number: int) -> int:
    site_rows.received(session, uid(number), f"P{number}", "CT1")
    return tracking.open_job(session, uid(number), IDENTITY, NOW)


def rejected(session: Session, number: int) -> None:
    """One series of a study was chosen and is refused, another was not: it had been set aside for a third."""
    beside, study = f"{uid(number)}.5", f"{uid(number)}.0"
    tracking.register(session, arrivals(beside, study_uid=study), NOW)
    tracking.skip_series(session, beside, tracking.BETTER_RECONSTRUCTION, {"chosen": "1.9"}, NOW)
    held = tracking.claim(session, queued(session, number), "worker", TERMS, NOW)
    assert held is not None
    tracking.finish(session, held, "rejected", Failure("not_chest_ct", "no chest"), NOW)


THERE = {
    "delivered": delivered,
    "queued, with a worker woken": queued,
    "waiting for the lane of its archive": in_its_turn,
    "waiting for an archive that is away": archive_away,
    "refused beside one that was set aside": rejected,
}


@pytest.mark.parametrize("there", THERE)
def test_a_tick_reads_no_more_with_many_series_there(sessions: sessionmaker[Session], there: str) -> None:
    read = []
    for numbers in (range(FEW), range(FEW, MANY)):
        with sessions.begin() as session:
            for number in numbers:
                THERE[there](session, number)
            ask(session, LATER)
            if session.get_bind().dialect.name == "postgresql":
                session.execute(text("ANALYZE"))
        with sessions.begin() as session:
            read.append(effort(session, lambda session: ask(session, LATER + timedelta(seconds=1))))
    assert read[1] <= read[0] * 1.1 + 5, read


def ask(session: Session, now: datetime) -> None:
    """What a tick asks, and what follows when a destination has taken an object."""
    tracking.due_jobs(session, now)
    tracking.due_deliveries(session, now)
    tracking.open_series(session)
    tracking.reconsidered(session, now, LATER if now != LATER else None)
    if now != LATER:
        tracking.reached(session, "dicom://OTHER@127.0.0.1:104", now)


def effort(session: Session, work: Callable[[Session], object]) -> int:
    """Return how many rows work reads on Postgres, or how many steps SQLite takes for it."""
    if session.get_bind().dialect.name == "postgresql":
        # A table that is small is read whole, for that is cheaper then.
        session.execute(text("SET LOCAL enable_seqscan = off"))
        before = session.scalar(text(READ_SO_FAR)) or 0
        work(session)
        return int((session.scalar(text(READ_SO_FAR)) or 0) - before)
    steps = [0]

    def count() -> None:
        steps[0] += 1

    connection: Any = session.connection().connection.dbapi_connection
    connection.set_progress_handler(count, 1)
    work(session)
    connection.set_progress_handler(None, 1)
    return steps[0]


@contextmanager
def counted(engine: Engine) -> Iterator[list[str]]:
    """Note every statement of the block, as often as the database is given it."""
    made: list[str] = []

    def note(_: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        rows = parameters if many and isinstance(parameters, list) else [parameters]
        made.extend([statement] * len(rows))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield made
    finally:
        event.remove(engine, "before_cursor_execute", note)


def received(sessions: sessionmaker[Session], series_uid: str, images: int = 3) -> None:
    with sessions.begin() as session:
        tracking.register(session, arrivals(series_uid, images), NOW)
        tracking.close_series(session, series_uid, "complete", "contiguous", {}, NOW)


def assessed(sessions: sessionmaker[Session], series_uid: str, numbers: int = 5) -> None:
    """Open a job, measure, and deliver."""
    measured = tuple(MeasurementRow("lung", "both", f"{n}", "volume", 1.0, "ml") for n in range(numbers))
    results = site_rows.results(series_uid)
    with sessions.begin() as session:
        job_id = tracking.open_job(session, series_uid, IDENTITY, NOW)
    with sessions.begin() as session:
        held = tracking.claim(session, job_id, "worker", TERMS, NOW)
        assert held is not None
    with sessions.begin() as session:
        given = tracking.JobResults(measured, results.flags, results.outputs)
        tracking.record_results(session, held, given, (tracking.Recipient(PACS),), NOW)
    with sessions.begin() as session:
        taken = tracking.pending(session, DueDelivery(job_id, PACS), 60, NOW)
    for item in taken:
        with sessions.begin() as session:
            tracking.delivered(session, item.delivery_id, 0, Change("worker", NOW))
            tracking.reached(session, PACS, NOW)


def test_a_series_takes_as_many_statements_beside_many(sessions: sessionmaker[Session]) -> None:
    engine = sessions.kw["bind"]
    with counted(engine) as first:
        received(sessions, "1.3.1")
        assessed(sessions, "1.3.1")
    with sessions.begin() as session:
        for number in range(MANY):
            (delivered if number % 2 else in_its_turn)(session, number)
    with counted(engine) as last:
        received(sessions, "1.3.2")
        assessed(sessions, "1.3.2")
    assert last == first


def test_images_and_numbers_take_no_statement_each(sessions: sessionmaker[Session]) -> None:
    received(sessions, "1.3.1")
    received(sessions, "1.3.2", images=300)
    with counted(sessions.kw["bind"]) as small:
        assessed(sessions, "1.3.1")
    with counted(sessions.kw["bind"]) as large:
        assessed(sessions, "1.3.2", numbers=131)
    assert len(large) == len(small)
