"""Proofs of deliveries in the rows: what an archive reports, and what follows, on SQLite and Postgres."""

from dataclasses import replace

import pytest
from sqlalchemy.orm import Session, sessionmaker

from db import audit, tracking
from db.audit import Wanted
from db.commitment import CommitmentReport, SOPOutcome
from db.tables import Delivery
from db.tracking import Change, DueDelivery
from tests.integration.db.test_tracking import PACS, RESULTS, claimed, job_state, later, opened, taken

Sessions = sessionmaker[Session]
SEG, SR, TRANSACTION = "2.25.1", "2.25.2", "2.25.777"
OUTPUTS = tuple(tracking.OutputFile(kind, f"{kind}.dcm", "a" * 64, uid) for kind, uid in (("seg", SEG), ("sr", SR)))
DUE = 100


def sent(sessions: Sessions, at: float = 12, job_id: int | None = None) -> int:
    """Return a job whose objects are sent and wait for their proof."""
    if job_id is None:
        job_id = opened(sessions)
        held = claimed(sessions, job_id)
        with sessions.begin() as session:
            recipients = [tracking.Recipient(PACS)]
            tracking.record_results(session, held, replace(RESULTS, outputs=OUTPUTS), recipients, later(10))
    for item in taken(sessions, job_id, later(at)):
        with sessions.begin() as session:
            tracking.delivered(session, item.delivery_id, 0, Change("worker", later(at)), later(at))
    return job_id


def asked(sessions: Sessions, job_id: int, at: float = 20) -> list[int]:
    """Ask for commitment of all that is due."""
    with sessions.begin() as session:
        items = tracking.unproven(session, DueDelivery(job_id, PACS), 60, later(at))
        tracking.commitment_asked(session, [one.delivery_id for one in items], TRANSACTION, later(at + DUE))
    return [item.tries for item in items]


def report(sessions: Sessions, at: float = 30, archive_ae: str = "PACS", **failures: int | None) -> int:
    outcomes = tuple(SOPOutcome({"seg": SEG, "sr": SR}[kind], "1.2", failure) for kind, failure in failures.items())
    with sessions.begin() as session:
        said = CommitmentReport(TRANSACTION, archive_ae, outcomes)
        return tracking.reported(session, said, Change("scheduler", later(at)))


def states(sessions: Sessions) -> list[tuple[str, str | None, str | None]]:
    with sessions.begin() as session:
        assert tracking.verify_chain(session, "1.2.3") is None
        return [(one.state, one.proof, one.code) for one in audit.status(session)[0].deliveries]


def test_the_view_says_how_a_delivery_is_proven(sessions: Sessions) -> None:
    def view() -> tuple[object, object]:
        with sessions.begin() as session:
            row = audit.results(session)[0]
            assert audit.results(session, superseded=True)[0]["delivery_proof"] == row["delivery_proof"]
        return row["delivery_proof"], row["committed_at"]

    job_id = sent(sessions)
    asked(sessions, job_id)
    assert view() == ("open", None)
    assert report(sessions, seg=None) == 1
    assert view() == ("open", None)
    with sessions.begin() as session:
        second = session.query(Delivery).order_by(Delivery.id).all()[1].id
        tracking.proven(session, second, tracking.QUERY, Change("worker", later(40)))
    assert view() == ("query", later(40))
    assert states(sessions) == [("committed", "commitment", None), ("committed", "query", None)]


def test_without_any_proof_the_view_says_not_proven(sessions: Sessions) -> None:
    job_id = sent(sessions)
    with sessions.begin() as session:
        for item in tracking.unproven(session, DueDelivery(job_id, PACS), 60, later(20)):
            tracking.unprovable(session, item.delivery_id, "neither", Change("w", later(20), "no_proof_offered"))
        assert audit.results(session)[0]["delivery_proof"] == "not proven"
    assert states(sessions) == [("sent", "not proven", "not_proven")] * 2
    assert job_state(sessions, job_id) == "delivered"


def test_a_missing_object_alone_is_sent_again(sessions: Sessions) -> None:
    job_id = sent(sessions)
    asked(sessions, job_id)
    assert report(sessions, seg=0x0112, sr=None) == 2
    assert states(sessions) == [("pending", None, None), ("committed", "commitment", None)]
    assert job_state(sessions, job_id) == "encoded"
    (item,) = taken(sessions, job_id, later(31))
    assert (item.sop_uid, item.resent, item.attempts, item.waiting_since) == (SEG, 1, 1, later(30))


def test_what_is_never_kept_is_a_dead_letter_in_the_end(sessions: Sessions) -> None:
    job_id = sent(sessions)
    for round_ in range(20):
        at = 100 * (round_ + 1)
        if not asked(sessions, job_id, at):
            break
        report(sessions, at + 1, seg=0x0112, sr=None)
        sent(sessions, at + 2, job_id)
    assert [one[0] for one in states(sessions)] == ["failed", "committed"]
    assert job_state(sessions, job_id) == "failed"
    with sessions.begin() as session:
        assert [row.job_id for row in audit.status(session, wanted=Wanted(dead_letters=True))] == [job_id]
        assert tracking.retry(session, job_id, "operator", later(9000)) == 0


def test_another_object_under_its_uid_is_final(sessions: Sessions) -> None:
    job_id = sent(sessions)
    asked(sessions, job_id)
    report(sessions, seg=0x0119, sr=None)
    assert states(sessions) == [("failed", None, "class_conflict"), ("committed", "commitment", None)]
    assert job_state(sessions, job_id) == "failed"


@pytest.mark.parametrize("failure", [0x0110, 0x0122, 0x0131, 0x0213])
def test_any_other_failure_is_asked_again_in_another_way(sessions: Sessions, failure: int) -> None:
    job_id = sent(sessions)
    asked(sessions, job_id)
    report(sessions, seg=failure, sr=None)
    assert states(sessions)[0] == ("sent", "open", "commitment_failed")
    assert asked(sessions, job_id, 31) == [2]


@pytest.mark.parametrize("archive_ae", ["STRANGER", "pacs", ""])
def test_a_report_of_somebody_else_changes_nothing(sessions: Sessions, archive_ae: str) -> None:
    asked(sessions, sent(sessions))
    assert report(sessions, archive_ae=archive_ae, seg=None, sr=0x0112) == 0
    assert states(sessions) == [("sent", "open", None)] * 2


def test_hard_case_29_a_second_report_changes_nothing(sessions: Sessions) -> None:
    asked(sessions, sent(sessions))
    assert report(sessions, seg=None, sr=None) == 2
    assert report(sessions, seg=0x0112, sr=0x0112) == 0
    assert [one[0] for one in states(sessions)] == ["committed", "committed"]


def test_hard_case_29_a_request_without_report_is_due_again(sessions: Sessions) -> None:
    job_id = sent(sessions)
    with sessions.begin() as session:
        # Who sent it seeks the proof, unless it died meanwhile.
        assert tracking.due_deliveries(session, later(13)) == []
        assert tracking.unanswered(session, later(73), later(13)) == {"analyse": 0, "deliver": 1}
    asked(sessions, job_id)
    with sessions.begin() as session:
        assert tracking.due_deliveries(session, later(20 + DUE - 1)) == []
        assert tracking.due_deliveries(session, later(20 + DUE)) == [DueDelivery(job_id, PACS)]


def test_a_proof_that_lies_in_the_future_of_a_clock_is_due(sessions: Sessions) -> None:
    job_id = sent(sessions)
    asked(sessions, job_id)
    with sessions.begin() as session:
        tracking.forget_the_future(session, later(-500))
        assert tracking.due_deliveries(session, later(-500)) == [DueDelivery(job_id, PACS)]
