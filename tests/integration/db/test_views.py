"""That somebody looked at a series is an event, and vouches for nothing."""

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from db import audit, tracking
from db.errors import UnknownSubject
from tests.integration.db.test_tracking import NOW, images, later, opened
from tests.support.tampering import unguarded

Sessions = sessionmaker[Session]
WHO = "viewer:bert@page"


def view(sessions: Sessions) -> None:
    with sessions.begin() as session:
        tracking.viewed(session, ["1.2.3", "9.9"], WHO, later(60), "images and numbers")


def fault(sessions: Sessions) -> str | None:
    with sessions.begin() as session:
        return tracking.verify_series(session, "1.2.3")


def test_a_look_is_an_event_with_who_and_when(sessions: Sessions) -> None:
    opened(sessions)
    view(sessions)
    with sessions.begin() as session:
        *_, last = audit.trail(session, "1.2.3")
    assert (last["who"], last["code"], last["at"]) == (WHO, "viewed", later(60))
    assert (last["subject"], last["from_state"], last["to_state"]) == ("series", "complete", "complete")
    assert last["detail"] == {"shown": "images and numbers"}
    assert fault(sessions) is None


def test_a_look_does_not_cover_what_was_tampered_with(sessions: Sessions, database_url: str) -> None:
    opened(sessions)
    with unguarded(database_url) as connection:
        connection.execute(text("UPDATE series SET description = 'other' WHERE uid = '1.2.3'"))
    assert "was changed after its last event" in (fault(sessions) or "")
    view(sessions)
    assert "was changed after its last event" in (fault(sessions) or "")


def test_a_series_whose_events_are_gone_is_not_begun_anew(sessions: Sessions, database_url: str) -> None:
    opened(sessions)
    with unguarded(database_url) as connection:
        connection.execute(text("DELETE FROM event WHERE series_uid = '1.2.3'"))
    with pytest.raises(UnknownSubject, match="has no events"):
        view(sessions)


def test_a_series_that_is_still_received_can_be_looked_at(sessions: Sessions) -> None:
    with sessions.begin() as session:
        tracking.register(session, images(2), NOW)
    view(sessions)
    with sessions.begin() as session:
        tracking.register(session, images(3), later(90))
        tracking.close_series(session, "1.2.3", "complete", "contiguous", {}, later(120))
    assert fault(sessions) is None
