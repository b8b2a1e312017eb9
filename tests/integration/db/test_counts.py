"""What the rows of a whole site add up to, on SQLite and on Postgres."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.counts import StageTime, Waiting, site_counts
from db.engine import open_for_reading
from db.tracking import Failure
from tests.integration.db.test_tracking import NOW, TERMS, claimed, images, later, opened
from tests.support.site_rows import PACS, fill

Sessions = sessionmaker[Session]


def test_states_images_and_deliveries_are_counted(sessions: Sessions) -> None:
    fill(sessions)
    with sessions.begin() as session:
        found = site_counts(session, NOW + timedelta(days=2))
    assert (found.images, found.image_bytes) == (6, 600)
    assert found.series == {"receiving": 0, "complete": 2, "incomplete": 0, "skipped": 0}
    assert {state: count for state, count in found.jobs.items() if count} == {"delivered": 1, "encoded": 1}
    assert found.deliveries == {("sent", PACS): 1, ("pending", PACS): 1}
    assert found.waiting["analyse"] == Waiting(0, 0.0)
    # Its next try was due seven minutes after NOW.
    assert found.waiting["deliver"] == Waiting(1, 2 * 86400.0 - 7 * 60)


def test_the_oldest_open_series_and_waiting_job_have_an_age(sessions: Sessions) -> None:
    opened(sessions)
    with sessions.begin() as session:
        tracking.register(session, images(1, series_uid="1.2.4", received_at=later(30)), later(30))
        found = site_counts(session, later(100))
    assert found.oldest_open_s == 70
    assert found.waiting["analyse"] == Waiting(1, 100.0)


def test_a_stage_lasts_until_the_next_and_none_ends_by_death(sessions: Sessions) -> None:
    job_id = opened(sessions)
    for start in (0, 100):
        held = claimed(sessions, job_id, later(start))
        with sessions.begin() as session:
            tracking.enter_stage(session, held, "read", later(start + 1))
            tracking.enter_stage(session, held, "lungs", later(start + 3.5))
    with sessions.begin() as session:
        tracking.finish(session, held, "rejected", Failure("gantry_tilt", "tilted"), later(110))
        found = site_counts(session, later(200))
    assert found.stages["read"] == StageTime(2, pytest.approx(5.0, abs=0.01))
    assert found.stages["lungs"] == StageTime(1, pytest.approx(6.5, abs=0.01))
    assert found.stopped == {("rejected", "gantry_tilt"): 1}


def test_who_only_reads_cannot_write_and_waits_for_no_writer(sessions: Sessions, database_url: str) -> None:
    opened(sessions)
    reading = open_for_reading(database_url)
    try:
        with sessions.begin() as writer:
            writer.execute(text("UPDATE series SET description = 'other'"))
            with reading.begin() as session:
                assert site_counts(session, NOW).series["complete"] == 1
        with pytest.raises(DBAPIError), reading.begin() as session:
            session.execute(text("UPDATE series SET description = 'by a reader'"))
    finally:
        reading.kw["bind"].dispose()


def test_a_reader_makes_no_database_that_is_missing(tmp_path: Path) -> None:
    reading = open_for_reading(f"sqlite:///{tmp_path / 'none.db'}")
    with pytest.raises(DBAPIError), reading.begin() as session:
        session.execute(text("SELECT 1"))
    assert list(tmp_path.iterdir()) == []


def test_a_beat_grows_with_each_sign_of_life(sessions: Sessions) -> None:
    with sessions.begin() as session:
        assert tracking.heartbeats(session) == {"analyse": 0, "deliver": 0, "perform": 0}
        for _ in range(2):
            tracking.note_heartbeat(session, "deliver", "worker@host:1", NOW)
        assert tracking.heartbeats(session) == {"analyse": 0, "deliver": 2, "perform": 0}


def test_a_job_handed_back_is_waiting_only_once_it_is_due(sessions: Sessions) -> None:
    job_id = opened(sessions)
    held = claimed(sessions, job_id)
    with sessions.begin() as session:
        tracking.hand_back(session, held, Failure("device_unavailable", "no memory"), TERMS, NOW)
        assert site_counts(session, later(59)).waiting["analyse"].count == 0
        assert site_counts(session, later(61)).waiting["analyse"] == Waiting(1, 1.0)
