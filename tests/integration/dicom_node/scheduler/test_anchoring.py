"""The scheduler anchors the event chains at intervals, and works on where it cannot."""

import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.engine import open_database
from dicom_node.scheduler import anchoring
from dicom_node.scheduler.anchoring import Anchoring
from tests.support import databases
from tests.support.audited_site import Site, uid

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def rows(tmp_path: Path) -> sessionmaker[Session]:
    sessions = open_database(databases.sqlite(tmp_path / "rows.db"))
    Site(sessions).receive(1)
    return sessions


def test_chains_are_anchored_once_an_interval(
    rows: sessionmaker[Session], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / "anchors.jsonl"
    rare, always = Anchoring(path, 3600), Anchoring(path, 0)
    rare.run(rows, NOW)
    first = tracking.read_anchors(path)
    assert caplog.records[-1].__dict__["digest"] == first.digest
    Site(rows).receive(2)
    rare.run(rows, NOW)
    assert tracking.read_anchors(path) == first
    always.run(rows, NOW)
    assert set(tracking.read_anchors(path).heads) == {uid(1), uid(2)}


def test_a_new_site_waits_no_hour_for_its_first_anchor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anchoring, "UNTIL_FIRST_S", 0.0)
    sessions, path = open_database(databases.sqlite(tmp_path / "new.db")), tmp_path / "anchors.jsonl"
    rare = Anchoring(path, 3600)
    rare.run(sessions, NOW)
    assert not path.exists()
    Site(sessions).receive(1)
    rare.run(sessions, NOW)
    assert set(tracking.read_anchors(path).heads) == {uid(1)}


def test_anchors_that_cannot_be_written_stop_nothing(
    rows: sessionmaker[Session], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Anchoring(tmp_path / "rows.db" / "anchors.jsonl", 0).run(rows, NOW)
    assert caplog.messages == ["anchors cannot be written"]
    (tmp_path / "anchors.jsonl").write_text('{"at":"2026-01-05T08:00:00+00:00","heads":{},"previous":"x"}\n')
    Anchoring(tmp_path / "anchors.jsonl", 0).run(rows, NOW)
    assert caplog.messages[1] == "anchors were changed: nothing is added to them"
