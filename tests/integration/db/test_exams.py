"""What a job's images said of patient and scan is kept, sealed, and given only to those who ask for that ID."""

from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.states import JobState
from db.tracking import ExamRow
from tests.integration.db.test_tracking import PACS, RESULTS, claimed, later, opened

EXAM = ExamRow("1.2", "20260102", "P1", "CLINIC", "PHANTOM^ONE", "19700101", "B70f", 1.0, False, "HFS")


@pytest.fixture
def job_id(sessions: sessionmaker[Session]) -> int:
    job_id = opened(sessions)
    held = claimed(sessions, job_id)
    with sessions.begin() as session:
        tracking.record_results(session, held, replace(RESULTS, exam=EXAM), (tracking.Recipient(PACS),), later(1))
    return job_id


def test_an_exam_comes_back_with_the_numbers_of_the_whole(sessions: sessionmaker[Session], job_id: int) -> None:
    with sessions.begin() as session:
        (found,) = tracking.exams_of(session, "P1")
        assert tracking.exams_of(session, "P2") == []
        assert tracking.exams_beside(session, job_id) == [found]
    assert (found.job_id, found.exam) == (job_id, EXAM)
    assert found.numbers == {("lung", "volume"): 4000.0, ("total", "extent"): 12.5}


@pytest.mark.parametrize("state", [JobState.REVIEW, JobState.DISCARDED, JobState.SUPERSEDED])
def test_what_is_doubted_or_replaced_is_no_exam(sessions: sessionmaker[Session], job_id: int, state: str) -> None:
    with sessions.begin() as session:
        session.execute(text("UPDATE job SET state = :state"), {"state": state})
        assert tracking.exams_of(session, "P1") == []


@pytest.mark.parametrize("change", ["UPDATE exam SET birth_date = '19700102'", "DELETE FROM exam"])
def test_an_exam_that_was_changed_is_found_out(sessions: sessionmaker[Session], job_id: int, change: str) -> None:
    with sessions.begin() as session:
        assert tracking.verify_series(session, "1.2.3") is None
        session.execute(text(change))
        session.expire_all()
        assert "were changed after it ended" in (tracking.verify_series(session, "1.2.3") or "")
