"""What an operator may do to a job, on real SQLite and real Postgres."""

from collections.abc import Callable

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from db import audit, tracking
from db.errors import IllegalTransition, UnknownSubject
from db.finding_tables import Measurement
from db.states import JobState
from db.tables import Delivery, Instance, Job, Output
from tests.integration.db.test_tracking import (
    NOW,
    PACS,
    RESULTS,
    claimed,
    encoded,
    job_state,
    later,
    opened,
    taken,
)

Sessions = sessionmaker[Session]
WHO = "operator:anna"
IMPLAUSIBLE = tracking.Failure("implausible_lung_volume", "the lungs hold 12 l", {"lung_volume_ml": 12000})


def in_review(sessions: Sessions) -> int:
    job_id = opened(sessions)
    held = claimed(sessions, job_id)
    with sessions.begin() as session:
        tracking.record_for_review(session, held, RESULTS, IMPLAUSIBLE, later(10))
    return job_id


def ended(sessions: Sessions, state: JobState) -> int:
    job_id = opened(sessions)
    held = claimed(sessions, job_id)
    with sessions.begin() as session:
        tracking.finish(session, held, state, tracking.Failure("unexpected_error", "it broke"), later(10))
    return job_id


def last_event(sessions: Sessions, subject: str = "job") -> tuple[str, str | None, str, str]:
    with sessions.begin() as session:
        event = [one for one in audit.trail(session, "1.2.3") if one["subject"] == subject][-1]
    return event["who"], event["code"], event["from_state"], event["to_state"]


def test_a_released_result_is_sent_as_it_was_stored(sessions: Sessions) -> None:
    job_id = in_review(sessions)
    with sessions.begin() as session:
        assert tracking.release(session, job_id, (tracking.Recipient(PACS),), WHO, later(20)) == 2
    assert last_event(sessions) == (WHO, "released", "review", "encoded")
    assert [item.digest for item in taken(sessions, job_id, later(21))] == ["a" * 64, "b" * 64]
    with sessions.begin() as session:
        assert tracking.due_jobs(session, later(10_000)) == []
        assert session.get_one(Job, job_id).code == "implausible_lung_volume"


def test_a_discarded_result_is_kept_and_never_sent(sessions: Sessions) -> None:
    job_id = in_review(sessions)
    with sessions.begin() as session:
        tracking.discard(session, job_id, WHO, later(20))
    assert last_event(sessions) == (WHO, "discarded", "review", "discarded")
    with sessions.begin() as session:
        assert session.query(Output).count() == len(RESULTS.outputs)
        assert session.query(Measurement).count() == len(RESULTS.measurements)
        assert session.query(Delivery).count() == 0
        assert audit.status(session)[0].state == "discarded"
        assert tracking.due_jobs(session, later(10_000)) == []


def test_a_failed_job_may_be_discarded(sessions: Sessions) -> None:
    job_id = ended(sessions, JobState.FAILED)
    with sessions.begin() as session:
        tracking.discard(session, job_id, WHO, later(20))
    assert job_state(sessions, job_id) == "discarded"


def test_recomputing_uses_nothing_of_the_earlier_outputs(sessions: Sessions) -> None:
    job_id = in_review(sessions)
    with sessions.begin() as session:
        tracking.recompute(session, job_id, WHO, later(20))
    assert last_event(sessions) == (WHO, "recomputed", "review", "queued")
    held = claimed(sessions, job_id, later(21))
    with sessions.begin() as session:
        assert not tracking.encoded_before(session, held)
        tracking.record_results(session, held, RESULTS, (tracking.Recipient(PACS),), later(30))
        assert session.query(Measurement).count() == len(RESULTS.measurements)
    assert len(taken(sessions, job_id, later(31))) == 2


def test_what_recomputing_took_away_stands_in_its_event(sessions: Sessions) -> None:
    job_id = in_review(sessions)
    with sessions.begin() as session:
        tracking.recompute(session, job_id, WHO, later(20))
        event = audit.trail(session, "1.2.3")[-1]
    assert event["detail"]["outputs"] == {"seg.dcm": "a" * 64, "sr.dcm": "b" * 64}


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.REJECTED])
def test_a_failed_or_rejected_job_may_be_recomputed(sessions: Sessions, state: JobState) -> None:
    job_id = ended(sessions, state)
    with sessions.begin() as session:
        tracking.recompute(session, job_id, WHO, later(20))
    assert claimed(sessions, job_id, later(21)).attempt == 2


def test_a_job_whose_objects_were_half_sent_is_recomputed(sessions: Sessions) -> None:
    job_id = encoded(sessions, (PACS,))
    first, second = taken(sessions, job_id, later(11))
    change = tracking.Change("worker", later(12), "peer_refused")
    with sessions.begin() as session:
        tracking.delivered(session, first.delivery_id, 0, change)
        tracking.refuse(session, second.delivery_id, "damaged", None, change)
        tracking.recompute(session, job_id, WHO, later(20))
    held = claimed(sessions, job_id, later(21))
    with sessions.begin() as session:
        tracking.record_results(session, held, RESULTS, (tracking.Recipient(PACS),), later(30))
    assert len(taken(sessions, job_id, later(31))) == 2


def test_without_its_images_a_job_is_not_computed_again(sessions: Sessions) -> None:
    job_id = ended(sessions, JobState.FAILED)
    with sessions.begin() as session:
        session.scalars(select(Instance)).first().removed_at = later(15)  # type: ignore[union-attr]
    for act in (tracking.recompute, tracking.retry):
        with pytest.raises(IllegalTransition, match="send them again"), sessions.begin() as session:
            act(session, job_id, WHO, later(20))


def test_a_pending_delivery_is_due_at_once_by_a_retry(sessions: Sessions) -> None:
    job_id = encoded(sessions, (PACS,))
    for item in taken(sessions, job_id, later(11)):
        with sessions.begin() as session:
            tracking.postpone(session, item.delivery_id, "no answer", later(9000), tracking.Change("worker", later(12)))
    with sessions.begin() as session:
        assert tracking.retry(session, job_id, WHO, later(20)) == 2
        assert tracking.due_deliveries(session, later(20)) == [tracking.DueDelivery(job_id, PACS)]
    assert last_event(sessions, "delivery") == (WHO, "retried", "pending", "pending")


def test_a_delivery_that_failed_beside_a_pending_one_is_retried(sessions: Sessions) -> None:
    job_id = encoded(sessions, (PACS,))
    refused, _ = taken(sessions, job_id, later(11))
    with sessions.begin() as session:
        tracking.refuse(session, refused.delivery_id, "no context", None, tracking.Change("worker", later(12)))
        assert tracking.retry(session, job_id, WHO, later(20)) == 2
    assert refused.delivery_id in [item.delivery_id for item in taken(sessions, job_id, later(21))]


def release(session: Session, job_id: int) -> object:
    return tracking.release(session, job_id, (tracking.Recipient(PACS),), WHO, NOW)


def discard(session: Session, job_id: int) -> object:
    return tracking.discard(session, job_id, WHO, NOW)


def recompute(session: Session, job_id: int) -> object:
    return tracking.recompute(session, job_id, WHO, NOW)


def retry(session: Session, job_id: int) -> object:
    return tracking.retry(session, job_id, WHO, NOW)


Act = Callable[[Session, int], object]


@pytest.mark.parametrize("act", [release, discard, recompute, retry])
def test_a_job_that_is_queued_is_left_alone(sessions: Sessions, act: Act) -> None:
    job_id = opened(sessions)
    with pytest.raises(IllegalTransition, match=f"job {job_id} is queued") as refused, sessions.begin() as session:
        act(session, job_id)
    assert "\n" not in str(refused.value)
    assert job_state(sessions, job_id) == "queued"


@pytest.mark.parametrize("act", [release, discard, recompute, retry])
def test_a_job_that_is_unknown_is_named(sessions: Sessions, act: Act) -> None:
    with pytest.raises(UnknownSubject, match="no job 99"), sessions.begin() as session:
        act(session, 99)


@pytest.mark.parametrize("act", [release, retry])
def test_what_was_rejected_is_neither_released_nor_retried(sessions: Sessions, act: Act) -> None:
    job_id = ended(sessions, JobState.REJECTED)
    with pytest.raises(IllegalTransition, match="is rejected"), sessions.begin() as session:
        act(session, job_id)


def test_a_result_in_review_is_not_released_by_a_retry(sessions: Sessions) -> None:
    job_id = in_review(sessions)
    with pytest.raises(IllegalTransition, match="release, discard or recompute"), sessions.begin() as session:
        retry(session, job_id)
    assert job_state(sessions, job_id) == "review"
