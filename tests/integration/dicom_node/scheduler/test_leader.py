"""Of several schedulers on one database one works, and another takes over where it stops."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from dicom_node.scheduler.leader import LONGEST_TICK_S, Candidacy

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LEASE_S = 6.0


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Two:
    """Two schedulers, each of which looks once a second."""

    def __init__(self, sessions: sessionmaker[Session]) -> None:
        self.clock = Clock()
        self.first, self.second = (Candidacy(sessions, name, LEASE_S, self.clock) for name in ("first", "second"))

    def pass_s(self, seconds: int, *alive: Candidacy) -> None:
        """Let time pass; those alive beat or look, and their loops come round."""
        for _ in range(seconds):
            self.clock.now_s += 1
            for one in alive:
                one.came_round()
                one.step(NOW)

    @property
    def leading(self) -> list[bool]:
        return [self.first.leads, self.second.leads]


@pytest.fixture
def two(sessions: sessionmaker[Session]) -> Two:
    """The first leads already."""
    found = Two(sessions)
    found.first.step(NOW)
    assert found.leading == [True, False]
    return found


def test_while_one_leads_no_other_does(two: Two) -> None:
    two.pass_s(100, two.first, two.second)
    assert two.leading == [True, False]


def test_one_whose_beat_has_stopped_is_replaced_after_the_lease(two: Two) -> None:
    two.pass_s(1, two.second)
    two.pass_s(int(LEASE_S), two.second)
    assert not two.second.leads
    two.pass_s(1, two.second)
    assert two.second.leads


def test_one_that_was_asleep_sees_that_it_was_replaced(two: Two) -> None:
    two.pass_s(10, two.second)
    two.pass_s(1, two.first, two.second)
    assert two.leading == [False, True]


def test_one_that_ends_in_order_is_replaced_at_once(two: Two) -> None:
    two.first._resign()
    two.pass_s(1, two.second)
    assert two.leading == [False, True]


def test_one_whose_loop_is_stuck_leaves_its_work_to_another(two: Two) -> None:
    for _ in range(int(LONGEST_TICK_S) + 2):
        two.clock.now_s += 1
        two.first.step(NOW)
        two.second.step(NOW)
    assert two.leading == [False, True]


def test_of_two_that_see_a_free_place_one_gets_it(sessions: sessionmaker[Session]) -> None:
    with sessions.begin() as session:
        seen = tracking.leadership(session)
    got = []
    for name in ("first", "second"):
        with sessions.begin() as session:
            got.append(tracking.take_over(session, seen, name, NOW))
    assert got == [True, False]


def test_while_the_database_is_away_no_time_counts(two: Two, sessions: sessionmaker[Session]) -> None:
    two.pass_s(1, two.second)
    there = two.second._sessions
    two.second._sessions = sessionmaker(create_engine("sqlite:////nowhere/at/all.db"))
    two.clock.now_s += 100
    two.second._try_once()
    two.second._sessions = there
    two.pass_s(1, two.second)
    assert two.leading == [True, False]


def test_who_leads_can_be_read_by_people(two: Two, sessions: sessionmaker[Session]) -> None:
    with sessions.begin() as session:
        row = session.execute(text("SELECT holder, beat FROM leader WHERE name = 'scheduler'")).one()
    assert tuple(row) == ("first", 1)
    assert two.first.leads
