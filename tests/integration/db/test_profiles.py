"""Several SEGs and SRs of one job: each destination gets those of its profile, on SQLite and Postgres."""

from dataclasses import replace
from datetime import datetime

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from db import audit, tracking
from db.errors import ProfileNotMade
from db.tables import Delivery, Output
from db.tracking import OutputFile, Recipient
from tests.integration.db.test_tracking import PACS, RESULTS, claimed, later, opened

OTHER, NEW = "dicom://OTHER@10.0.0.6:104", "dicom://NEW@10.0.0.7:104"
PLAIN = {"seg": "disease seg", "lungs": "lungs seg", "sr": "sr"}
ONE = {"seg": "seg", "sr": "sr with seg"}
OUTPUTS = tuple(
    OutputFile(kind, f"{role}.dcm", f"{number:x}" * 64, f"2.25.{number}", role)
    for number, (kind, role) in enumerate([*PLAIN.items(), *ONE.items()], start=1)
)
EACH = (Recipient(PACS, roles=PLAIN), Recipient(OTHER, roles=ONE))
SERIES = "1.2.3"
Sessions = sessionmaker[Session]


def recorded(sessions: Sessions, recipients: tuple[Recipient, ...] = EACH) -> int:
    """Return a job with two SEGs of the disease and two SRs."""
    job_id = opened(sessions)
    held = claimed(sessions, job_id)
    page = OutputFile("page", "page.dcm", "f" * 64, "2.25.99")
    with sessions.begin() as session:
        results = replace(RESULTS, outputs=(*OUTPUTS, page))
        tracking.record_results(session, held, results, recipients, later(10))
    return job_id


def opened_for(sessions: Sessions, destination: str) -> list[str]:
    """Return the roles of what is to be sent, or was sent, to a destination; the kind of what has no role."""
    query = select(Output).join(Delivery, Delivery.output_id == Output.id).order_by(Output.id)
    with sessions.begin() as session:
        return [one.role or one.kind.value for one in session.scalars(query.where(Delivery.destination == destination))]


def taken(sessions: Sessions, job_id: int, now: datetime, destination: str) -> tuple[tracking.PendingObject, ...]:
    with sessions.begin() as session:
        return tracking.pending(session, tracking.DueDelivery(job_id, destination), 60, now)


def failed(sessions: Sessions, job_id: int) -> None:
    """Have one archive refuse all, and the other take all."""
    for destination in (PACS, OTHER):
        for item in taken(sessions, job_id, later(11), destination):
            change = tracking.Change("worker", later(12), "store_refused")
            with sessions.begin() as session:
                if destination == OTHER:
                    tracking.refuse(session, item.delivery_id, "refused", 0xC000, change)
                else:
                    tracking.delivered(session, item.delivery_id, 0, change)


def test_each_destination_gets_the_objects_of_its_profile(sessions: Sessions) -> None:
    recorded(sessions)
    assert opened_for(sessions, PACS) == ["disease seg", "lungs seg", "sr", "page"]
    assert opened_for(sessions, OTHER) == ["seg", "sr with seg", "page"]


def test_what_has_no_role_goes_to_all(sessions: Sessions) -> None:
    recorded(sessions, (Recipient(PACS),))
    assert len(opened_for(sessions, PACS)) == 6


def test_the_audit_tells_the_objects_of_the_site(sessions: Sessions) -> None:
    recorded(sessions)
    with sessions.begin() as session:
        (row,) = audit.results(session, SERIES)
        assert (row["seg_uid"], row["sr_uid"]) == ("2.25.1", "2.25.3")
        (every,) = audit.results(session, SERIES, superseded=True)
        assert (every["seg_uid"], every["sr_uid"]) == ("2.25.1", "2.25.3")
        assert tracking.verify_chain(session, SERIES) is None


def test_what_was_made_for_a_destination_stays_its_own(sessions: Sessions) -> None:
    job_id = recorded(sessions)
    failed(sessions, job_id)
    with sessions.begin() as session:
        tracking.retry(session, job_id, "operator", later(20))
    held = claimed(sessions, job_id, later(21))
    with sessions.begin() as session:
        # The profile of this archive was changed meanwhile.
        tracking.resume(session, held, (Recipient(PACS, roles=PLAIN), Recipient(OTHER, roles=PLAIN)), later(22))
    assert opened_for(sessions, OTHER) == ["seg", "sr with seg", "page"]
    assert len(taken(sessions, job_id, later(23), OTHER)) == 3


def test_a_profile_of_which_nothing_was_made_sends_nothing(sessions: Sessions) -> None:
    job_id = recorded(sessions)
    failed(sessions, job_id)
    with sessions.begin() as session:
        tracking.retry(session, job_id, "operator", later(20))
    held = claimed(sessions, job_id, later(21))
    added = Recipient(NEW, roles={"seg": "disease seg, labelmap", "sr": "sr"})
    with pytest.raises(ProfileNotMade, match="recompute"), sessions.begin() as session:
        tracking.resume(session, held, (*EACH, added), later(22))
    assert opened_for(sessions, NEW) == []
    with sessions.begin() as session:
        # What it does not get it need not have been made for.
        tracking.resume(session, held, (*EACH, added._replace(kinds=("sr",))), later(22))
    assert opened_for(sessions, NEW) == ["sr"]


def test_the_roles_of_reports_are_known_to_what_replaces_them(sessions: Sessions) -> None:
    first = recorded(sessions)
    with sessions.begin() as session:
        second = tracking.measure(session, SERIES, tracking.JobIdentity("o" * 64, "s" * 64), "operator", later(30))
        assert (before := tracking.predecessor(session, second)) is not None
        assert before.roles == ("sr", "sr with seg")
    assert second != first
