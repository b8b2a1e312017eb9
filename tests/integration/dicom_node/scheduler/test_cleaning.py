"""Images leave the spool after delivery and retention, never before, and leave a trail."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from db import audit, tracking
from db.states import DeliveryState, OutputKind
from db.tables import Delivery, Instance, Job, Output, Series
from db.tracking import JobIdentity, Retention
from dicom_node.scheduler import cleaning
from dicom_node.scheduler.registrar import Registrar
from dicom_node.spool.broken_off import BrokenOff
from dicom_node.spool.folder import Spool
from tests.support.node_senders import ct_slice, encoded, header, series_uid

NOW = datetime.now(UTC)
IDENTITY = JobIdentity("m" * 64, "s" * 64)
LONG_AFTER = NOW + timedelta(days=31)
RETENTION = Retention(*(timedelta(days=days) for days in (30, 7, 20, 90)))
AT_ONCE = Retention(*[timedelta(0)] * 4)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    one = Spool(tmp_path / "spool")
    one.prepare()
    return one


def received(spool: Spool, sessions: sessionmaker[Session], *numbers: int) -> None:
    """Receive slices of the first series and register them."""
    for number in numbers:
        ds = ct_slice(number)
        content = encoded(ds)
        spool.keep(ds.SOPInstanceUID, header(ds.SOPInstanceUID), content)
    Registrar(spool, sessions).run(NOW)


def with_job(sessions: sessionmaker[Session], state: str) -> None:
    """Close the series and bring its job into a state, without the way there: that is tested elsewhere."""
    with sessions.begin() as session:
        tracking.close_series(session, series_uid(), "complete", "contiguous", {}, NOW)
        job_id = tracking.open_job(session, series_uid(), IDENTITY, NOW)
        session.execute(update(Job).where(Job.id == job_id).values(state=state, updated_at=NOW))


def files(spool: Spool) -> int:
    return len(list((spool.root / "series").rglob("*.dcm")))


def test_hard_case_32_images_leave_after_retention_with_a_trail(spool: Spool, sessions: sessionmaker[Session]) -> None:
    received(spool, sessions, 0, 1, 2)
    with_job(sessions, "delivered")
    assert cleaning.clean(spool, sessions, RETENTION, NOW + timedelta(days=29)) == 0
    assert files(spool) == 3
    assert cleaning.clean(spool, sessions, RETENTION, LONG_AFTER) == 3
    assert list((spool.root / "series").iterdir()) == []
    with sessions.begin() as session:
        assert audit.trail(session, series_uid())[-1]["code"] == "images_removed"
        assert tracking.verify_chain(session, series_uid()) is None
        assert None not in session.scalars(select(Instance.removed_at)).all()
    assert cleaning.clean(spool, sessions, RETENTION, LONG_AFTER) == 0


@pytest.mark.parametrize("state", ["queued", "running", "encoded"])
def test_hard_case_32_what_is_not_done_stays_however_old(
    spool: Spool, sessions: sessionmaker[Session], state: str
) -> None:
    received(spool, sessions, 0, 1, 2)
    with_job(sessions, state)
    if state == "encoded":
        owes_a_delivery(sessions)
    assert cleaning.clean(spool, sessions, AT_ONCE, NOW + timedelta(days=3650)) == 0
    assert files(spool) == 3


def test_an_open_series_or_one_with_late_images_is_not_cleaned(spool: Spool, sessions: sessionmaker[Session]) -> None:
    received(spool, sessions, 0, 1)
    assert cleaning.clean(spool, sessions, AT_ONCE, LONG_AFTER) == 0
    with_job(sessions, "delivered")
    received(spool, sessions, 2)
    assert cleaning.clean(spool, sessions, AT_ONCE, LONG_AFTER) == 0
    assert files(spool) == 3


def test_the_next_cleaning_heals_a_crash_during_removal(spool: Spool, sessions: sessionmaker[Session]) -> None:
    received(spool, sessions, 0, 1, 2)
    with_job(sessions, "delivered")
    next((spool.root / "series").rglob("*.dcm")).unlink()
    assert cleaning.clean(spool, sessions, RETENTION, LONG_AFTER) == 3
    assert files(spool) == 0


def test_a_removed_series_sent_again_keeps_its_old_job(spool: Spool, sessions: sessionmaker[Session]) -> None:
    received(spool, sessions, 0, 1, 2)
    with_job(sessions, "delivered")
    cleaning.clean(spool, sessions, RETENTION, LONG_AFTER)
    received(spool, sessions, 0, 1, 2)
    assert files(spool) == 3
    with sessions.begin() as session:
        assert session.scalars(select(Series.state)).one() == "receiving"
        assert session.scalars(select(Instance.removed_at)).all() == [None] * 3
        before = session.scalars(select(Job.id)).one()
        assert tracking.open_job(session, series_uid(), IDENTITY, NOW) == before


def test_a_break_is_forgotten_with_the_last_image(spool: Spool, sessions: sessionmaker[Session]) -> None:
    broken_off = BrokenOff(spool.associations)
    received(spool, sessions, 0)
    broken_off.note(series_uid())
    cleaning.clear_breaks(spool)
    assert broken_off.noted() == [series_uid()]
    with_job(sessions, "delivered")
    cleaning.clean(spool, sessions, RETENTION, LONG_AFTER)
    spool.keep(ct_slice(1).SOPInstanceUID, b"", b"not registered yet")
    cleaning.clear_breaks(spool)
    assert broken_off.noted() == [series_uid()]
    spool.waiting()[0].unlink()
    cleaning.clear_breaks(spool)
    assert broken_off.noted() == []


def owes_a_delivery(sessions: sessionmaker[Session]) -> None:
    with sessions.begin() as session:
        job_id = session.scalars(select(Job.id)).one()
        session.add(Output(id=1, job_id=job_id, kind=OutputKind.SEG, sop_uid="1.2.9", digest="d" * 64, path="seg.dcm"))
        session.flush()
        fields = {"destination": "dicom://A@127.0.0.1:104", "attempts": 0, "due_at": NOW, "created_at": NOW}
        session.add(Delivery(job_id=job_id, output_id=1, state=DeliveryState.PENDING, **fields))


@pytest.mark.parametrize("state", ["encoded", "rejected", "review", "failed"])
def test_a_job_that_ended_otherwise_has_a_time_of_its_own(
    spool: Spool, sessions: sessionmaker[Session], state: str
) -> None:
    received(spool, sessions, 0, 1, 2)
    with_job(sessions, state)
    days = 30 if state == "encoded" else 90
    assert cleaning.clean(spool, sessions, RETENTION, NOW + timedelta(days=days - 1)) == 0
    assert cleaning.clean(spool, sessions, RETENTION, NOW + timedelta(days=days + 1)) == 3
    assert files(spool) == 0


@pytest.mark.parametrize(("state", "days"), [("skipped", 7), ("incomplete", 20)])
def test_a_series_without_a_job_leaves_after_its_own_time(
    spool: Spool, sessions: sessionmaker[Session], state: str, days: int
) -> None:
    received(spool, sessions, 0, 1, 2)
    with sessions.begin() as session:
        tracking.close_series(session, series_uid(), state, "code", {}, NOW)
    assert cleaning.clean(spool, sessions, RETENTION, NOW + timedelta(days=days - 1)) == 0
    assert cleaning.clean(spool, sessions, RETENTION, NOW + timedelta(days=days + 1)) == 3
    assert files(spool) == 0


def test_a_path_outside_the_spool_is_never_deleted(
    spool: Spool, sessions: sessionmaker[Session], tmp_path: Path
) -> None:
    received(spool, sessions, 0, 1, 2)
    with_job(sessions, "delivered")
    outside, link = tmp_path / "of-somebody-else.dcm", spool.root / "series" / "link.dcm"
    outside.touch()
    link.symlink_to(outside)
    for forged in (outside, spool.root / "series" / ".." / ".." / outside.name, link):
        with sessions.begin() as session:
            session.execute(update(Instance).values(path=str(forged)))
        assert cleaning.clean(spool, sessions, RETENTION, LONG_AFTER) == 0
        assert outside.exists()
