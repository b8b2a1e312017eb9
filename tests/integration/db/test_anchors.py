"""Anchors outside the database: what they say of a chain, whoever owns the database cannot take back."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, text, update
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.errors import AnchorsChanged
from db.tables import Base, Event, Series, Study
from tests.support import audited_site
from tests.support.audited_site import START, Site, uid
from tests.support.tampering import unguarded

Sessions = sessionmaker[Session]
LATER = START + timedelta(days=1)


@pytest.fixture
def anchors(sessions: Sessions, tmp_path: Path) -> Path:
    """The anchors of a site after two months."""
    audited_site.fill(sessions)
    path = tmp_path / "kept" / "anchors.jsonl"
    with sessions.begin() as session:
        tracking.anchor(session, path, START)
    return path


def faults(sessions: Sessions, path: Path) -> list[str]:
    return [one.fault for one in tracking.verify_site(sessions, tracking.read_anchors(path)).faults]


def lines(path: Path) -> list[dict[str, dict[str, tuple[int, str]]]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line]


def test_only_new_heads_are_added(sessions: Sessions, anchors: Path) -> None:
    assert set(lines(anchors)[0]["heads"]) == {uid(number) for number in range(1, 11)}
    with sessions.begin() as session:
        tracking.anchor(session, anchors, LATER)
    assert len(lines(anchors)) == 1
    Site(sessions, LATER).receive(11)
    with sessions.begin() as session:
        found = tracking.anchor(session, anchors, LATER)
    assert set(lines(anchors)[1]["heads"]) == {uid(11)}
    assert (found, found.at) == (tracking.read_anchors(anchors), LATER)
    assert faults(sessions, anchors) == []
    assert (anchors.stat().st_mode & 0o777, anchors.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_tail_cut_off_with_its_rows_is_seen(database_url: str, sessions: Sessions, anchors: Path) -> None:
    with unguarded(database_url) as connection:
        connection.execute(delete(Event).where(Event.series_uid == uid(8), Event.sequence > 1))
        connection.execute(
            text("UPDATE series SET state = 'receiving', code = NULL, detail = '{}' WHERE state = 'incomplete'")
        )
    assert faults(sessions, anchors.with_name("none")) == []
    assert faults(sessions, anchors) == [f"series {uid(8)} has 1 events, 2 were anchored"]


def test_a_series_removed_whole_is_seen(database_url: str, sessions: Sessions, anchors: Path) -> None:
    with unguarded(database_url) as connection:
        for table in reversed(Base.metadata.sorted_tables):
            if "series_uid" in table.c:
                connection.execute(delete(table).where(table.c.series_uid == uid(8)))
        connection.execute(delete(Series).where(Series.uid == uid(8)))
        connection.execute(delete(Study).where(Study.uid == f"{uid(8)}.0"))
    assert faults(sessions, anchors.with_name("none")) == []
    assert faults(sessions, anchors) == [f"series {uid(8)} has no events"]


def test_what_was_anchored_stays_so_when_more_is_anchored(database_url: str, sessions: Sessions, anchors: Path) -> None:
    with unguarded(database_url) as connection:
        connection.execute(delete(Event).where(Event.series_uid == uid(8), Event.sequence > 1))
    with sessions.begin() as session:
        tracking.anchor(session, anchors, LATER)
    assert f"series {uid(8)} has 1 events, 2 were anchored" in faults(sessions, anchors)


def test_a_changed_line_is_refused(sessions: Sessions, anchors: Path) -> None:
    Site(sessions, LATER).receive(11)
    with sessions.begin() as session:
        tracking.anchor(session, anchors, LATER)
    first, second = anchors.read_text().splitlines()
    for wrong in (f"{first.replace(uid(8), '9.9')}\n{second}\n", f"{second}\n", f"not one\n{second}\n"):
        anchors.write_text(wrong)
        with pytest.raises(AnchorsChanged, match="does not follow"):
            tracking.read_anchors(anchors)


def test_a_line_whose_writer_was_killed_is_passed_over(sessions: Sessions, anchors: Path) -> None:
    with anchors.open("ab") as file:
        file.write(b'{"at":"2026-01-05T0')
    Site(sessions, LATER).receive(11)
    with sessions.begin() as session:
        tracking.anchor(session, anchors, LATER)
    assert tracking.read_anchors(anchors).at == LATER
    assert faults(sessions, anchors) == []


def test_rows_of_nobody_are_seen(database_url: str, sessions: Sessions, anchors: Path) -> None:
    with unguarded(database_url) as connection:
        connection.execute(text("INSERT INTO measurement VALUES (777, 'lung', 'both', 'whole', 'volume', 1.0, 'ml')"))
        connection.execute(
            update(Base.metadata.tables["study"]).where(text("patient_id = 'P2'")).values(patient_id="P3")
        )
    assert faults(sessions, anchors) == [
        "1 rows of measurement name a job that is not there",
        f"study {uid(2)}.0 names a patient whom none of its images names",
    ]
