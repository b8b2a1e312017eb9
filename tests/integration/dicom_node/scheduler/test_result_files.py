"""Files of results leave their folder after their time, with a trail; numbers and rows stay."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from db import audit, tracking
from db.tables import Job
from db.tracking import JobIdentity
from dicom_node.scheduler.result_files import ResultFiles
from tests.integration.db.test_tracking import NOW, later, opened
from tests.support import kept_site, object_stores
from tests.support.node_senders import series_uid

YEAR_S = 365 * 86400.0


def with_files(sessions: sessionmaker[Session], folder: Path, state: str) -> Path:
    """Bring a job into a state, with a result in its folder."""
    job_id = opened(sessions)
    with sessions.begin() as session:
        session.execute(update(Job).where(Job.id == job_id).values(state=state, updated_at=NOW))
        key = session.get_one(Job, job_id).key
    (folder / key).mkdir(parents=True)
    for name in ("seg.dcm", "sr.dcm", "overlay.png"):
        (folder / key / name).touch()
    return folder / key


@pytest.mark.parametrize("state", ["delivered", "discarded", "superseded"])
def test_results_that_are_over_leave_with_a_trail(tmp_path: Path, sessions: sessionmaker[Session], state: str) -> None:
    folder = with_files(sessions, tmp_path / "results", state)
    results = ResultFiles(folder.parent, timedelta(seconds=YEAR_S))
    assert results.clean(sessions, later(YEAR_S - 1)) == 0
    assert len(list(folder.iterdir())) == 3
    assert results.clean(sessions, later(YEAR_S)) == 3
    assert not folder.exists()
    with sessions.begin() as session:
        event = audit.trail(session, "1.2.3")[-1]
        assert tracking.verify_chain(session, "1.2.3") is None
    assert (event["code"], event["to_state"], event["detail"]) == ("results_removed", state, {"files": 3})
    assert results.clean(sessions, later(YEAR_S + 1)) == 0


@pytest.mark.parametrize("state", ["encoded", "review", "failed", "queued"])
def test_results_that_somebody_still_needs_stay(tmp_path: Path, sessions: sessionmaker[Session], state: str) -> None:
    folder = with_files(sessions, tmp_path / "results", state)
    assert ResultFiles(folder.parent, timedelta(0)).clean(sessions, later(9 * YEAR_S)) == 0
    assert len(list(folder.iterdir())) == 3


def test_a_link_in_the_results_folder_is_not_followed(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    folder = with_files(sessions, tmp_path / "elsewhere", "delivered")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / folder.name).symlink_to(folder)
    assert ResultFiles(tmp_path / "results", timedelta(0)).clean(sessions, later(1)) == 0
    assert len(list(folder.iterdir())) == 3


def test_removed_results_that_are_superseded_are_no_fault(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    site = kept_site.made(tmp_path, sessions, object_stores.memory())
    site.done(1)
    assert ResultFiles(site.results.folder, timedelta(0)).clean(sessions, kept_site.LONG_AFTER) == 3
    with sessions.begin() as session:
        again = JobIdentity("n" * 64, "s" * 64)
        tracking.measure(session, series_uid(1), again, "operator:anna", kept_site.LONG_AFTER)
        assert tracking.verify_series(session, series_uid(1)) is None
