"""The schedule of deliveries after an operator's retry, on SQLite and Postgres."""

from dataclasses import replace

import pytest
from sqlalchemy.orm import Session, sessionmaker

from db import audit, tracking
from db.audit import Wanted
from tests.integration.db.test_tracking import PACS, RESULTS, claimed, encoded, later, opened, taken

A_DAY_S = 86_400
KINDS = ("seg", "sr", "page")


def given_up(sessions: sessionmaker[Session]) -> int:
    """Return a job of whose objects one was never taken, for a day."""
    job_id = encoded(sessions, (PACS,))
    first, second = taken(sessions, job_id, later(11))
    gave_up = tracking.Change("worker", later(A_DAY_S), "peer_unreachable")
    with sessions.begin() as session:
        tracking.delivered(session, first.delivery_id, 0, gave_up)
        tracking.refuse(session, second.delivery_id, "no answer", None, gave_up)
    return job_id


def retried(sessions: sessionmaker[Session], job_id: int) -> tracking.PendingObject:
    """Have an operator retry a job a minute after it was given up, and return what is sent then."""
    with sessions.begin() as session:
        tracking.retry(session, job_id, "operator", later(A_DAY_S + 60))
    held = claimed(sessions, job_id, later(A_DAY_S + 61))
    with sessions.begin() as session:
        tracking.resume(session, held, (tracking.Recipient(PACS),), later(A_DAY_S + 62))
    (item,) = taken(sessions, job_id, later(A_DAY_S + 63))
    return item


def test_the_clock_of_a_delivery_starts_again_with_a_retry(sessions: sessionmaker[Session]) -> None:
    item = retried(sessions, given_up(sessions))
    assert item.waiting_since == later(A_DAY_S + 62)


def test_a_retry_begins_again_with_the_shortest_pause(sessions: sessionmaker[Session]) -> None:
    assert retried(sessions, given_up(sessions)).attempts == 1


def kinds_sent(sessions: sessionmaker[Session], refused: str) -> int:
    """Return a job of whose objects, seg, sr and page, the archive took all but one."""
    job_id = opened(sessions)
    held = claimed(sessions, job_id)
    outputs = tuple(tracking.OutputFile(kind, f"{kind}.dcm", "a" * 64, f"2.25.{len(kind)}") for kind in KINDS)
    with sessions.begin() as session:
        tracking.record_results(
            session, held, replace(RESULTS, outputs=outputs), (tracking.Recipient(PACS),), later(10)
        )
    for item, kind in zip(taken(sessions, job_id, later(11)), KINDS, strict=True):
        with sessions.begin() as session:
            if kind == refused:
                change = tracking.Change("worker", later(12), "no_presentation_context")
                tracking.refuse(session, item.delivery_id, "class not taken", None, change)
            else:
                tracking.delivered(session, item.delivery_id, 0, tracking.Change("worker", later(12)))
    return job_id


@pytest.mark.parametrize(("refused", "state"), [("page", "delivered"), ("seg", "failed"), ("sr", "failed")])
def test_a_refused_page_is_a_dead_letter_and_fails_no_job(
    sessions: sessionmaker[Session], refused: str, state: str
) -> None:
    kinds_sent(sessions, refused)
    with sessions.begin() as session:
        (row,) = audit.status(session, wanted=Wanted(dead_letters=True))
        assert row.state == state
        dead = [(one.kind, one.code) for one in row.deliveries if one.state == "failed"]
        assert dead == [(refused, "no_presentation_context")]


def test_the_dead_letter_of_a_delivered_job_is_retried(sessions: sessionmaker[Session]) -> None:
    job_id = kinds_sent(sessions, "page")
    with sessions.begin() as session:
        assert tracking.retry(session, job_id, "operator", later(20)) == 1
    (item,) = taken(sessions, job_id, later(21))
    with sessions.begin() as session:
        tracking.delivered(session, item.delivery_id, 0, tracking.Change("worker", later(22)))
        assert audit.status(session, wanted=Wanted(dead_letters=True)) == []
        assert audit.status(session)[0].state == "delivered"
        assert tracking.verify_chain(session, "1.2.3") is None


def test_who_takes_one_object_gets_what_waited_for_it_at_once(sessions: sessionmaker[Session]) -> None:
    job_id = encoded(sessions, (PACS,))
    first, second = taken(sessions, job_id, later(11))
    away = tracking.Change("worker", later(12), "connection_refused")
    full = tracking.Change("worker", later(12), "out_of_resources", {"status": 0xA700})
    with sessions.begin() as session:
        tracking.postpone(session, first.delivery_id, "nobody listens", later(A_DAY_S), away)
        tracking.postpone(session, second.delivery_id, "disk full", later(A_DAY_S), full)
        assert tracking.reached(session, "dicom://OTHER@127.0.0.1:104", later(13)) == 0
        assert tracking.reached(session, PACS, later(13)) == 1
    (item,) = taken(sessions, job_id, later(14))
    assert item.delivery_id == first.delivery_id
    with sessions.begin() as session:
        assert tracking.reached(session, PACS, later(15)) == 0, "it is being sent"


def test_each_destination_gets_the_kinds_of_its_profile(sessions: sessionmaker[Session]) -> None:
    job_id = opened(sessions)
    held = claimed(sessions, job_id)
    outputs = tuple(tracking.OutputFile(kind, f"{kind}.dcm", "a" * 64, f"2.25.{kind}") for kind in (*KINDS, "picture"))
    recipients = [tracking.Recipient("dicom://ALL@h:104"), tracking.Recipient("dicom://SOME@h:104", ("sr", "page"))]
    with sessions.begin() as session:
        tracking.record_results(session, held, replace(RESULTS, outputs=outputs), recipients, later(10))
        (row,) = audit.status(session)
    assert [(one.destination[8:-6], one.kind) for one in row.deliveries] == [
        ("ALL", "seg"),
        ("ALL", "sr"),
        ("SOME", "sr"),
        ("ALL", "page"),
        ("SOME", "page"),
    ]
