"""A series measured again with another model: both results stand in the rows, and each is delivered once."""

from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from db import audit, tracking
from db.errors import IllegalTransition, UnknownSubject
from db.tables import Delivery, Job
from db.tracking import Change, DueDelivery, JobIdentity, JobResults, LeaseTerms
from tests.support.site_rows import DELIVERED, IDENTITY, NOW, PACS, WAITING, measured, received, results

Sessions = sessionmaker[Session]
OTHER = JobIdentity("n" * 64, "s" * 64)
TIMES = "SELECT received_at, assessed_at, delivered_at FROM audit_result"
WHO = "operator:anna"


def deliver(session: Session, job_id: int) -> int:
    taken = tracking.pending(session, DueDelivery(job_id, PACS), 60, NOW)
    for item in taken:
        tracking.delivered(session, item.delivery_id, 0, Change("worker", NOW))
    return len(taken)


def compute(session: Session, job_id: int, total_pct: float) -> None:
    held = tracking.claim(session, job_id, "worker", LeaseTerms(60, 3), NOW)
    assert held is not None
    found: JobResults = results(f"{job_id}")
    numbers = tuple(replace(one, value=total_pct) if one.region == "total" else one for one in found.measurements)
    tracking.record_results(session, held, replace(found, measurements=numbers), (tracking.Recipient(PACS),), NOW)


def measured_twice(sessions: Sessions) -> tuple[int, int]:
    with sessions.begin() as session:
        received(session, DELIVERED, "P1", "CT1")
        first = measured(session, DELIVERED)
        assert deliver(session, first) == 1
    with sessions.begin() as session:
        second = tracking.measure(session, DELIVERED, OTHER, WHO, NOW)
        compute(session, second, 20.0)
        assert deliver(session, second) == 1
    return first, second


def test_a_second_result_replaces_the_report_of_the_first(sessions: Sessions) -> None:
    first, second = measured_twice(sessions)
    with sessions.begin() as session:
        third = tracking.measure(session, DELIVERED, JobIdentity("o" * 64, "s" * 64), WHO, NOW)
        fourth = tracking.measure(session, DELIVERED, JobIdentity("p" * 64, "s" * 64), WHO, NOW)
        keys = {job_id: session.get_one(Job, job_id).key for job_id in (first, second)}
        told = [tracking.predecessor(session, job_id) for job_id in (first, second, third, fourth)]
    assert told == [None, *(tracking.Predecessor(keys[one]) for one in (first, second, second))]


def test_both_results_stand_beside_each_other(sessions: Sessions) -> None:
    first, second = measured_twice(sessions)
    with sessions.begin() as session:
        both = audit.results(session, DELIVERED, superseded=True)
        (current,) = audit.results(session, DELIVERED)
        assert session.query(Delivery).count() == 2
        assert tracking.verify_chain(session, DELIVERED) is None
    told = [(row["job_id"], row["state"], row["total_extent_pct"], row["superseded_by_job_id"]) for row in both]
    assert told == [(second, "delivered", 20.0, None), (first, "superseded", 12.5, second)]
    assert (current["job_id"], current["flags"]) == (second, "gapped, thick_slices")
    assert {row["model_digest"] for row in both} == {IDENTITY.model_digest, OTHER.model_digest}


def test_the_same_model_measures_no_second_time(sessions: Sessions) -> None:
    _, second = measured_twice(sessions)
    with sessions.begin() as session, pytest.raises(IllegalTransition, match=f"job {second} has measured"):
        tracking.measure(session, DELIVERED, OTHER, WHO, NOW)


def test_the_first_model_again_sends_nothing_anew(sessions: Sessions) -> None:
    first, second = measured_twice(sessions)
    with sessions.begin() as session:
        assert tracking.measure(session, DELIVERED, IDENTITY, WHO, NOW) == first
        held = tracking.claim(session, first, "worker", LeaseTerms(60, 3), NOW)
        assert held is not None
        assert tracking.encoded_before(session, held)
        tracking.resume(session, held, (tracking.Recipient(PACS),), NOW)
        assert deliver(session, first) == 0
    with sessions.begin() as session:
        states = {row["job_id"]: row["superseded_by_job_id"] for row in audit.results(session, None, superseded=True)}
    assert states == {first: None, second: first}


def test_a_series_without_a_job_is_not_measured_again(sessions: Sessions) -> None:
    with sessions.begin() as session:
        received(session, WAITING, "P2", "CT2")
    with sessions.begin() as session:
        with pytest.raises(IllegalTransition, match="no job"):
            tracking.measure(session, WAITING, OTHER, WHO, NOW)
        with pytest.raises(UnknownSubject, match="unknown"):
            tracking.measure(session, "9.9", OTHER, WHO, NOW)
        with pytest.raises(IllegalTransition, match="complete: only a series that was skipped"):
            tracking.reconsider(session, WAITING, WHO, NOW)


def test_images_that_left_the_spool_are_not_measured_again(sessions: Sessions) -> None:
    measured_twice(sessions)
    with sessions.begin() as session:
        session.execute(text("UPDATE instance SET removed_at = received_at"))
    with sessions.begin() as session, pytest.raises(IllegalTransition, match="left the spool"):
        tracking.measure(session, DELIVERED, IDENTITY, WHO, NOW)


def test_times_in_the_views_have_their_offset(sessions: Sessions) -> None:
    measured_twice(sessions)
    with sessions.begin() as session:
        if session.get_bind().dialect.name == "postgresql":
            assert all(time.tzinfo is not None for time in session.execute(text(TIMES)).one())
            return
        told = session.execute(text(TIMES)).one()
        at = session.execute(text("SELECT at FROM audit_trail LIMIT 1")).scalar_one()
    assert set(told) | {at} == {"2026-01-02T03:04:05.000000+00:00"}
