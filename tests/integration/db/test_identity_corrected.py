"""Workers whose weights are not those that the node named, on SQLite and Postgres."""

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from db import audit, tracking
from db.errors import ClaimLost
from db.tables import Job
from db.tracking import Claim, JobIdentity
from tests.integration.db.test_tracking import (
    IDENTITY,
    PACS,
    RESULTS,
    TERMS,
    claimed,
    images,
    job_state,
    later,
    opened,
)

OURS, THEIRS = JobIdentity("1" * 64, "s" * 64), JobIdentity("2" * 64, "s" * 64)


def corrected(sessions: sessionmaker[Session], held: Claim, identity: JobIdentity, seconds: float) -> Claim:
    with sessions.begin() as session:
        return tracking.correct_identity(session, held, identity, later(seconds))


def test_a_claim_tells_under_which_identity_its_job_was_opened(sessions: sessionmaker[Session]) -> None:
    assert claimed(sessions, opened(sessions)).identity == IDENTITY


def test_the_job_of_the_true_identity_supersedes_the_other(sessions: sessionmaker[Session]) -> None:
    held = claimed(sessions, opened(sessions))
    ours = corrected(sessions, held, OURS, 1)
    assert (ours.identity, ours.files, ours.key != held.key) == (OURS, held.files, True)
    with sessions.begin() as session:
        states = {job.id: (job.state, job.supersedes_id) for job in session.scalars(select(Job))}
        codes = [(e["subject_id"], e["code"]) for e in audit.trail(session, "1.2.3") if e["to_state"] == "superseded"]
        assert tracking.verify_chain(session, "1.2.3") is None
    assert states == {held.job_id: ("superseded", None), ours.job_id: ("running", held.job_id)}
    assert codes == [(str(held.job_id), "identity_corrected")]


def test_nothing_more_is_written_under_the_wrong_identity(sessions: sessionmaker[Session]) -> None:
    held = claimed(sessions, opened(sessions))
    ours = corrected(sessions, held, OURS, 1)
    with pytest.raises(ClaimLost), sessions.begin() as session:
        tracking.record_results(session, held, RESULTS, (tracking.Recipient(PACS),), later(2))
    with sessions.begin() as session:
        tracking.record_results(session, ours, RESULTS, (tracking.Recipient(PACS),), later(2))
    assert job_state(sessions, ours.job_id) == "encoded"


def test_a_node_that_names_the_old_identity_changes_nothing(sessions: sessionmaker[Session]) -> None:
    ours = corrected(sessions, claimed(sessions, opened(sessions)), OURS, 1)
    with sessions.begin() as session:
        tracking.open_job(session, "1.2.3", IDENTITY, later(2))
    assert job_state(sessions, ours.job_id) == "running"


def test_workers_of_two_weights_hand_a_job_over_a_few_times(sessions: sessionmaker[Session]) -> None:
    job_id, seconds = opened(sessions), 0.0
    for identity in (OURS, THEIRS, OURS):
        held = corrected(sessions, claimed(sessions, job_id, later(seconds)), identity, seconds)
        job_id, seconds = held.job_id, seconds + TERMS.lease_s + 1
    with sessions.begin() as session:
        assert tracking.claim(session, job_id, "worker", TERMS, later(seconds)) is None
        assert session.get_one(Job, job_id).code == "attempts_exhausted"
        assert session.scalars(select(Job.state).where(Job.id != job_id)).all() == ["superseded", "superseded"]


def test_newer_images_supersede_a_corrected_job_as_any_other(sessions: sessionmaker[Session]) -> None:
    ours = corrected(sessions, claimed(sessions, opened(sessions)), OURS, 1)
    with sessions.begin() as session:
        tracking.register(session, images(4), later(100))
        tracking.close_series(session, "1.2.3", "complete", "contiguous", {}, later(130))
        tracking.open_job(session, "1.2.3", IDENTITY, later(130))
    assert job_state(sessions, ours.job_id) == "superseded"
