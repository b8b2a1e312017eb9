"""When the scheduler looks at which open series."""

from datetime import UTC, datetime, timedelta

import pytest

from dicom_node.scheduler.agenda import LOOK_AGAIN, Agenda

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(seconds=30)


@pytest.fixture
def agenda() -> Agenda:
    """Two open series, each of which was looked at and is due again later."""
    one = Agenda()
    one.refresh({"1.1": NOW, "1.2": NOW}, NOW)
    assert sorted(one.due(NOW)) == ["1.1", "1.2"]
    for uid in ("1.1", "1.2"):
        one.look_again(uid, LATER)
    return one


def test_what_has_not_changed_is_not_due_before_its_time(agenda: Agenda) -> None:
    agenda.refresh({"1.1": NOW, "1.2": NOW}, NOW)
    assert agenda.due(LATER - timedelta(seconds=1)) == []
    assert sorted(agenda.due(LATER)) == ["1.1", "1.2"]


def test_a_series_is_due_when_another_image_came(agenda: Agenda) -> None:
    agenda.refresh({"1.1": NOW, "1.2": NOW + timedelta(seconds=1)}, NOW + timedelta(seconds=1))
    assert agenda.due(NOW + timedelta(seconds=1)) == ["1.2"]


def test_a_series_is_due_when_its_association_ended(agenda: Agenda) -> None:
    agenda.note_carried(frozenset({"1.1", "1.9"}), NOW)
    assert agenda.due(NOW) == []
    agenda.note_carried(frozenset({"1.9"}), NOW)
    assert agenda.due(NOW) == ["1.1"]


def test_the_latest_word_counts_whether_sooner_or_later(agenda: Agenda) -> None:
    agenda.look_again("1.1", NOW + timedelta(seconds=60))
    agenda.look_again("1.2", NOW + timedelta(seconds=10))
    assert agenda.due(NOW + timedelta(seconds=30)) == ["1.2"]
    assert agenda.due(NOW + timedelta(seconds=60)) == ["1.2", "1.1"]


@pytest.mark.parametrize("how", ["forgotten", "no longer open"])
def test_a_closed_series_is_due_no_more(agenda: Agenda, how: str) -> None:
    if how == "forgotten":
        agenda.forget("1.1")
    else:
        agenda.refresh({"1.2": NOW}, NOW)
    assert agenda.due(LATER) == ["1.2"]


def test_a_series_that_is_open_again_is_due_at_once(agenda: Agenda) -> None:
    agenda.forget("1.1")
    agenda.refresh({"1.1": NOW, "1.2": NOW}, NOW)
    assert agenda.due(NOW) == ["1.1"]


def test_what_was_not_dealt_with_is_due_again_soon(agenda: Agenda) -> None:
    assert sorted(agenda.due(LATER)) == ["1.1", "1.2"]
    assert agenda.due(LATER) == []
    assert sorted(agenda.due(LATER + LOOK_AGAIN)) == ["1.1", "1.2"]


def test_new_evidence_makes_all_due(agenda: Agenda) -> None:
    agenda.look_at_all(NOW)
    assert sorted(agenda.due(NOW)) == ["1.1", "1.2"]
