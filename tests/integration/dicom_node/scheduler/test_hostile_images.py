"""One hostile image holds no other: it is set aside, or registered as far as it goes, and sound series close."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydicom import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from db.tables import Instance, Series
from db.tracking import JobIdentity
from dicom_node.scheduler.closing import Terms
from dicom_node.scheduler.dispatch import Dispatcher
from dicom_node.scheduler.registrar import Registrar
from dicom_node.scheduler.scheduler import Watcher
from dicom_node.series.completeness import Policy
from dicom_node.spool.associations import OpenSeries
from dicom_node.spool.folder import Spool, SpooledName
from tests.support.hostile import BEFORE_UIDS, BEHIND_UIDS, nested, with_value
from tests.support.node_senders import ct_slice, encoded, header, series_uid

TERMS = Terms(JobIdentity("m" * 64, "s" * 64), Policy(quiet_s=30, gap_wait_s=120, stalled_s=900), renotify_s=60)
LATER = timedelta(seconds=31)
SOUND = [ct_slice(number, series=2) for number in range(4)]


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    one = Spool(tmp_path / "spool")
    one.prepare()
    return one


def keep(spool: Spool, ds: Dataset, raw: bytes | None = None) -> Path:
    content = encoded(ds) if raw is None else raw
    sop_uid = str(ds.SOPInstanceUID)
    return spool.keep(SpooledName.for_dataset(sop_uid, content), header(sop_uid), content)


def beside_a_sound_series(spool: Spool, sessions: sessionmaker[Session], hostile: list[bytes]) -> dict[str, str]:
    """Receive hostile images and a sound series after them; return the state of every series once time is up."""
    for number, raw in enumerate(hostile):
        keep(spool, ct_slice(number), raw)
    for ds in SOUND:
        keep(spool, ds)
    watcher = Watcher(
        Registrar(spool, sessions), sessions, OpenSeries(spool.associations), Dispatcher("memory://"), TERMS
    )
    watcher.tick(datetime.now(UTC))
    watcher.tick(datetime.now(UTC) + LATER)
    with sessions.begin() as session:
        assert len(session.scalars(select(Instance.id).where(Instance.series_uid == series_uid(2))).all()) == len(SOUND)
        return {row.uid: row.state for row in session.scalars(select(Series))}


@pytest.mark.parametrize("where", [BEFORE_UIDS, BEHIND_UIDS], ids=["before the UIDs", "behind the UIDs"])
def test_a_nest_of_sequences_is_set_aside_and_others_go_on(
    spool: Spool, sessions: sessionmaker[Session], where: bytes
) -> None:
    states = beside_a_sound_series(spool, sessions, [nested(ct_slice(0), tag=where)])
    assert states == {series_uid(2): "complete"}
    assert spool.waiting() == []
    assert spool.refused_by_code() == {"nested_too_deep": 1}


NO_NUMBERS = {
    "infinite": b"inf ",
    "no number": b"nan ",
    "beyond a float": b"1e999 ",
    "beyond memory": b"1e99999999",
    "60,000 digits": b"9" * 60_000,
}


@pytest.mark.filterwarnings("ignore:Invalid value", "ignore:Value", "ignore:The value length")
@pytest.mark.parametrize("keyword", ["NumberOfFrames", "SliceThickness", "Rows", "ImagePositionPatient"])
@pytest.mark.parametrize("what", NO_NUMBERS)
def test_a_number_that_is_none_keeps_no_series_open(
    spool: Spool, sessions: sessionmaker[Session], keyword: str, what: str
) -> None:
    vr = {"NumberOfFrames": b"IS", "Rows": b"LO"}.get(keyword, b"DS")
    states = beside_a_sound_series(spool, sessions, [with_value(ct_slice(0), keyword, vr, NO_NUMBERS[what])])
    assert states == {series_uid(1): "complete", series_uid(2): "complete"}
