"""One hostile image holds no other: it is set aside, or registered as far as it goes, and sound series close."""

from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from db.tables import Instance, Series
from db.tracking import JobIdentity
from dicom_node.scheduler.closing import Terms
from dicom_node.scheduler.dispatch import Dispatcher
from dicom_node.scheduler.scheduler import Scheduler
from dicom_node.series.completeness import Policy
from dicom_node.spool import backlog
from dicom_node.spool.folder import Spool
from dicom_node.spool.image import Identity
from tests.support.hostile import BEFORE_UIDS, BEHIND_UIDS, nested, with_value, with_values
from tests.support.node_senders import ct_slice, encoded, header, series_uid

TERMS = Terms(JobIdentity("m" * 64, "s" * 64), Policy(quiet_s=30, gap_wait_s=120, stalled_s=900), renotify_s=60)
LATER = timedelta(seconds=31)
SOUND = [ct_slice(number, series=2) for number in range(4)]


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    one = Spool(tmp_path / "spool")
    one.prepare()
    return one


def keep(spool: Spool, ds: Dataset, raw: bytes | None = None, calling_ae: bytes = b"SCANNER") -> Path:
    content = encoded(ds) if raw is None else raw
    sop_uid = str(ds.SOPInstanceUID)
    meta = header(sop_uid).replace(b"SCANNER ", calling_ae[:8].ljust(8))
    return spool.keep(sop_uid, meta, content)


def receive(spool: Spool, sessions: sessionmaker[Session]) -> dict[str, str]:
    """Register what waits and let time pass; return the state of every series."""
    scheduler = Scheduler(spool, sessions, Dispatcher("memory://"), TERMS)
    scheduler.tick(datetime.now(UTC))
    scheduler.tick(datetime.now(UTC) + LATER)
    with sessions.begin() as session:
        return {row.uid: row.state for row in session.scalars(select(Series))}


def instances(sessions: sessionmaker[Session], series: str | None = None) -> int:
    """How many images have a row, of one series or of all."""
    with sessions.begin() as session:
        return len([uid for uid in session.scalars(select(Instance.series_uid)) if series in {None, uid}])


def beside_a_sound_series(spool: Spool, sessions: sessionmaker[Session], hostile: bytes) -> dict[str, str]:
    """Receive a hostile image and a sound series after it; return the state of every series once time is up."""
    keep(spool, ct_slice(0), hostile)
    for ds in SOUND:
        keep(spool, ds)
    states = receive(spool, sessions)
    assert instances(sessions, series_uid(2)) == len(SOUND)
    return states


@pytest.mark.parametrize("where", [BEFORE_UIDS, BEHIND_UIDS], ids=["before the UIDs", "behind the UIDs"])
def test_a_nest_of_sequences_is_set_aside_and_others_go_on(
    spool: Spool, sessions: sessionmaker[Session], where: bytes
) -> None:
    states = beside_a_sound_series(spool, sessions, nested(ct_slice(0), tag=where))
    assert states == {series_uid(2): "complete"}
    assert spool.waiting() == []
    assert backlog.set_aside(spool) == {"nested_too_deep": 1}


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
    states = beside_a_sound_series(spool, sessions, with_value(ct_slice(0), keyword, vr, NO_NUMBERS[what]))
    assert states == {series_uid(1): "complete", series_uid(2): "complete"}


TEXTS = st.one_of(
    st.binary(max_size=80),
    st.sampled_from(
        [b"", b"\0", b"\0" * 65, b"\xed\xa0\x80", b"\\", b"A\0B", b"\x1b$B", b"x" * 65_534, b"'; --", b"\xff" * 9]
    ),
    st.sampled_from(sorted(NO_NUMBERS.values())),
)
KEYWORDS = (
    *Identity.KEYWORDS,
    "SpecificCharacterSet",
    "PatientID",
    "PatientName",
    "AccessionNumber",
    "StudyDate",
    "Modality",
    "SeriesDescription",
    "StudyDescription",
    "BodyPartExamined",
    "ProtocolName",
    "ConvolutionKernel",
    "ImageType",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "SliceThickness",
    "NumberOfFrames",
    "Rows",
    "Columns",
)
CHARACTER_SETS = st.sampled_from(
    [b"ISO_IR 192", b"ISO_IR 100", b"ISO_IR 13", b"\\ISO 2022 IR 87", b"GB18030", b"utf_16", b"punycode", b"utf-8-sig"]
)
HOSTILE = st.builds(
    lambda values, characters: values | characters,
    st.dictionaries(st.sampled_from(KEYWORDS), TEXTS, min_size=1, max_size=6),
    st.fixed_dictionaries({}, optional={"SpecificCharacterSet": CHARACTER_SETS}),
)
SERIES = count(1000)


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(batch=st.lists(HOSTILE, min_size=1, max_size=8), calling_ae=TEXTS)
def test_whatever_headers_say_every_series_closes(
    spool: Spool, sessions: sessionmaker[Session], batch: list[dict[str, bytes]], calling_ae: bytes
) -> None:
    before = instances(sessions) + sum(backlog.set_aside(spool).values())
    for values in batch:
        ds = ct_slice(0, next(SERIES))
        keep(spool, ds, with_values(ds, values), calling_ae)
    sound = next(SERIES)
    for number in range(4):
        keep(spool, ct_slice(number, sound))
    states = receive(spool, sessions)
    assert spool.waiting() == []
    assert instances(sessions) + sum(backlog.set_aside(spool).values()) == before + len(batch) + 4
    assert instances(sessions, series_uid(sound)) == 4
    assert set(states.values()) == {"complete"}
    assert set(backlog.set_aside(spool)) <= {"uid_missing", "uid_malformed", "wrong_sop_class", "other_instance"}
