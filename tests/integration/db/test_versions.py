"""Several versions of one image: the one that was sent last is the one that counts, on SQLite and Postgres."""

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.tables import Instance, Job
from tests.integration.db.test_tracking import IDENTITY, images, later

FIRST, SECOND = "a" * 64, "b" * 64


def sent(sessions: sessionmaker[Session], *versions: tuple[str, float]) -> set[str]:
    """Register versions (digest, seconds after the start) of one image in one batch."""
    arrivals = [images(1, digest=digest, received_at=later(seconds))[0] for digest, seconds in versions]
    with sessions.begin() as session:
        return set(tracking.register(session, arrivals, later(versions[-1][1])).series)


def current(sessions: sessionmaker[Session]) -> list[str]:
    with sessions.begin() as session:
        return list(session.scalars(select(Instance.digest).where(Instance.replaced_at.is_(None))))


def closed(sessions: sessionmaker[Session], seconds: float) -> int:
    """Close the series and return its job."""
    with sessions.begin() as session:
        tracking.close_series(session, "1.2.3", "complete", "quiet", {}, later(seconds))
        return tracking.open_job(session, "1.2.3", IDENTITY, later(seconds))


def test_the_first_version_sent_again_is_the_current_one(sessions: sessionmaker[Session]) -> None:
    sent(sessions, (FIRST, 0))
    sent(sessions, (SECOND, 1))
    assert sent(sessions, (FIRST, 2)) == {"1.2.3"}
    assert current(sessions) == [FIRST]


def test_the_order_of_sending_counts_within_a_batch_too(sessions: sessionmaker[Session]) -> None:
    sent(sessions, (FIRST, 0))
    sent(sessions, (SECOND, 1), (FIRST, 2))
    assert current(sessions) == [FIRST]


def test_a_clock_that_was_set_back_between_versions_is_no_matter(sessions: sessionmaker[Session]) -> None:
    sent(sessions, (FIRST, 100), (SECOND, 1))
    assert current(sessions) == [SECOND]


def test_a_file_registered_again_after_a_crash_changes_nothing(sessions: sessionmaker[Session]) -> None:
    sent(sessions, (FIRST, 0))
    sent(sessions, (SECOND, 1))
    assert sent(sessions, (FIRST, 0)) == set()
    assert current(sessions) == [SECOND]


def test_the_job_of_images_that_are_current_again_is_queued(sessions: sessionmaker[Session]) -> None:
    sent(sessions, (FIRST, 0))
    before = closed(sessions, 10)
    sent(sessions, (SECOND, 20))
    between = closed(sessions, 30)
    sent(sessions, (FIRST, 40))
    assert closed(sessions, 50) == before
    with sessions.begin() as session:
        assert {job.id: job.state for job in session.scalars(select(Job))} == {before: "queued", between: "superseded"}
        assert session.get_one(Job, before).supersedes_id == between
        assert tracking.verify_chain(session, "1.2.3") is None
        assert tracking.due_jobs(session, later(51)) == [before]
