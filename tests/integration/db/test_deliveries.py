"""The schedule of deliveries after an operator's retry, on SQLite and Postgres."""

from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from tests.integration.db.test_tracking import PACS, claimed, encoded, later, taken

A_DAY_S = 86_400


def given_up(sessions: sessionmaker[Session]) -> int:
    """Return a job of whose objects one was never taken, for a day."""
    job_id = encoded(sessions, (PACS,))
    first, second = taken(sessions, job_id, later(11))
    gave_up = tracking.Change("worker", later(A_DAY_S), "peer_unreachable")
    with sessions.begin() as session:
        tracking.delivered(session, first.delivery_id, 0, gave_up)
        tracking.refuse(session, second.delivery_id, "no answer", None, gave_up)
    return job_id


def retried(sessions: sessionmaker[Session], job_id: int) -> tracking.PendingObject:
    """Have an operator retry a job a minute after it was given up, and return what is sent then."""
    with sessions.begin() as session:
        tracking.retry(session, job_id, "operator", later(A_DAY_S + 60))
    held = claimed(sessions, job_id, later(A_DAY_S + 61))
    with sessions.begin() as session:
        tracking.resume(session, held, (PACS,), later(A_DAY_S + 62))
    (item,) = taken(sessions, job_id, later(A_DAY_S + 63))
    return item


def test_the_clock_of_a_delivery_starts_again_with_a_retry(sessions: sessionmaker[Session]) -> None:
    item = retried(sessions, given_up(sessions))
    assert item.waiting_since == later(A_DAY_S + 62)


def test_a_retry_begins_again_with_the_shortest_pause(sessions: sessionmaker[Session]) -> None:
    assert retried(sessions, given_up(sessions)).attempts == 1
