"""Images that come again, in the rows: after their removal, and after others took their place."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.tables import Instance
from db.tracking import Arrival, Failure
from dicom_node.scheduler import cleaning
from dicom_node.spool.folder import Spool
from tests.integration.db.test_tracking import IDENTITY, NOW, claimed, images, later, opened
from tests.support.delivered import AT_ONCE, deliver_and_remove

SERIES = "1.2.3"
# Where its rows say that the images lie; nothing does.
SPOOL = Spool(Path("spool"))
AFTERWARDS = NOW + timedelta(days=9)
Sessions = sessionmaker[Session]


def close_and_remove(sessions: Sessions, now: datetime) -> int:
    """Open the job of what came, deliver it, and take the images away."""
    with sessions.begin() as session:
        tracking.close_series(session, SERIES, "complete", "contiguous", {}, now)
        tracking.open_job(session, SERIES, IDENTITY, now)
    return deliver_and_remove(SPOOL, sessions, SERIES, now)


def register(sessions: Sessions, arrivals: list[Arrival], now: datetime) -> None:
    with sessions.begin() as session:
        tracking.register(session, [replace(arrival, received_at=now) for arrival in arrivals], now)


def missed(sessions: Sessions) -> int:
    with sessions.begin() as session:
        series = tracking.series_to_judge(session, SERIES)
        assert series is not None
        return series.not_sent_again


def current(sessions: Sessions) -> dict[str, str]:
    """The first letter of the digest of each image that counts and is there, by the last number of its UID."""
    there = Instance.replaced_at.is_(None), Instance.removed_at.is_(None)
    with sessions.begin() as session:
        rows = session.scalars(select(Instance).where(*there).order_by(Instance.sop_uid)).all()
        return {row.sop_uid[-1]: row.digest[0] for row in rows}


def test_a_first_series_has_nothing_to_be_sent_again(sessions: Sessions) -> None:
    register(sessions, images(3), NOW)
    assert missed(sessions) == 0


def test_removed_images_of_the_result_are_counted(sessions: Sessions) -> None:
    register(sessions, images(5), NOW)
    close_and_remove(sessions, NOW)
    register(sessions, images(2), AFTERWARDS)
    assert missed(sessions) == 3
    register(sessions, images(5), AFTERWARDS)
    assert missed(sessions) == 0


def test_images_that_are_there_are_not_missed(sessions: Sessions) -> None:
    register(sessions, images(3), NOW)
    with sessions.begin() as session:
        tracking.close_series(session, SERIES, "complete", "contiguous", {}, NOW)
        tracking.open_job(session, SERIES, IDENTITY, NOW)
    register(sessions, images(4), later(100))
    assert missed(sessions) == 0


def test_a_corrected_image_stands_for_the_one_before(sessions: Sessions) -> None:
    register(sessions, images(3), NOW)
    close_and_remove(sessions, NOW)
    register(sessions, images(1, digest="e" * 64), AFTERWARDS)
    assert missed(sessions) == 2
    register(sessions, images(3, digest="e" * 64), AFTERWARDS)
    assert (missed(sessions), current(sessions)) == (0, {"0": "e", "1": "e", "2": "e"})


def test_a_new_image_stands_for_none_that_is_gone(sessions: Sessions) -> None:
    register(sessions, images(3), NOW)
    close_and_remove(sessions, NOW)
    register(sessions, images(6)[3:], AFTERWARDS)
    assert missed(sessions) == 3


def test_of_two_removed_versions_the_one_that_comes_counts(sessions: Sessions) -> None:
    register(sessions, images(1), NOW)
    register(sessions, images(1, digest="e" * 64), later(1))
    close_and_remove(sessions, later(2))
    register(sessions, images(1), AFTERWARDS)
    assert (missed(sessions), current(sessions)) == (0, {"0": "d"})
    register(sessions, images(1, digest="e" * 64), AFTERWARDS + timedelta(seconds=1))
    assert (missed(sessions), current(sessions)) == (0, {"0": "e"})


def test_the_later_of_two_versions_wins_whatever_the_clock(sessions: Sessions) -> None:
    first, second = images(1, received_at=later(9)) + images(1, digest="e" * 64, received_at=NOW)
    with sessions.begin() as session:
        tracking.register(session, [first, second], later(10))
    assert current(sessions) == {"0": "e"}


def test_images_of_a_refused_series_are_not_missed(sessions: Sessions) -> None:
    held = claimed(sessions, opened(sessions, 4))
    with sessions.begin() as session:
        tracking.finish(session, held, "rejected", Failure("several_stacks", "two stacks"), later(5))
    assert cleaning.clean(SPOOL, sessions, AT_ONCE, later(99)) == 4
    register(sessions, images(2), AFTERWARDS)
    assert missed(sessions) == 0
