"""How fast the spool grows, and until when the images of a series stay."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from db import audit, tracking
from db.tables import Instance, Job
from db.tracking import JobIdentity, Retention
from tests.integration.db.test_tracking import ARRIVAL

NOW = ARRIVAL.received_at
DAY = timedelta(days=1)
RETENTION = Retention(30 * DAY, 7 * DAY, 20 * DAY, 90 * DAY)


def received(sessions: sessionmaker[Session], count: int, at: datetime = NOW) -> None:
    arrivals = [
        replace(ARRIVAL, sop_uid=f"1.2.{number}", digest=f"{number:064d}", received_at=at, size_bytes=1000)
        for number in range(count)
    ]
    with sessions.begin() as session:
        tracking.register(session, arrivals, at)


def test_before_a_day_has_passed_no_rate_is_known(sessions: sessionmaker[Session]) -> None:
    with sessions.begin() as session:
        assert audit.spool_rate(session, NOW) is None
    received(sessions, 3)
    with sessions.begin() as session:
        assert audit.spool_rate(session, NOW + DAY / 2) is None


def test_what_came_and_left_within_the_week_counts_by_the_day(sessions: sessionmaker[Session]) -> None:
    received(sessions, 8)
    with sessions.begin() as session:
        session.execute(update(Instance).where(Instance.sop_uid == "1.2.0").values(removed_at=NOW + DAY))
        assert audit.spool_rate(session, NOW + 4 * DAY) == audit.SpoolRate(came=2000, left=250)
        # A week later all of it is long ago.
        assert audit.spool_rate(session, NOW + 14 * DAY) == audit.SpoolRate(came=0, left=0)


@pytest.mark.parametrize(
    ("state", "days"),
    [("delivered", 30), ("encoded", 30), ("rejected", 90), ("review", 90), ("failed", 90), ("queued", None)],
)
def test_images_stay_by_the_outcome_of_the_job(sessions: sessionmaker[Session], state: str, days: int | None) -> None:
    received(sessions, 3)
    with sessions.begin() as session:
        tracking.close_series(session, ARRIVAL.series_uid, "complete", "contiguous", {}, NOW)
        tracking.open_job(session, ARRIVAL.series_uid, JobIdentity("m" * 64, "s" * 64), NOW)
        session.execute(update(Job).values(state=state, updated_at=NOW))
    assert until(sessions) == (None if days is None else NOW + days * DAY)


@pytest.mark.parametrize(("state", "days"), [("skipped", 7), ("incomplete", 20)])
def test_images_without_a_job_stay_by_the_state(sessions: sessionmaker[Session], state: str, days: int) -> None:
    received(sessions, 3)
    assert until(sessions) is None
    with sessions.begin() as session:
        tracking.close_series(session, ARRIVAL.series_uid, state, "code", {}, NOW)
    assert until(sessions) == NOW + days * DAY


def until(sessions: sessionmaker[Session]) -> datetime | None:
    with sessions.begin() as session:
        (row,) = audit.status(session, retention=RETENTION)
    assert row.images_until is None or row.images_until.tzinfo is UTC
    return row.images_until
