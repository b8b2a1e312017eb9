"""From durable files to rows and wake-ups: in order, once, whatever is away or unreadable."""

import itertools
import json
import os
import socket
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

import pytest
import redis
from pydicom import Dataset
from sqlalchemy import create_engine, select, text
from sqlalchemy.orm import Session, sessionmaker

from db import audit, schema
from db.engine import open_database
from db.tables import Instance, Job, Series
from db.tracking import JobIdentity
from dicom_node.scheduler.closing import Terms
from dicom_node.scheduler.dispatch import Dispatcher
from dicom_node.scheduler.registrar import Registrar
from dicom_node.scheduler.scheduler import Scheduler
from dicom_node.series.completeness import Policy
from dicom_node.spool.associations import OpenSeries
from dicom_node.spool.folder import Spool
from tests.support import services
from tests.support.node_senders import ct_slice, encoded, header, series_uid

TERMS = Terms(JobIdentity("m" * 64, "s" * 64), Policy(quiet_s=30, gap_wait_s=120, stalled_s=900), renotify_s=60)
LATER = timedelta(seconds=31)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    one = Spool(tmp_path / "spool")
    one.prepare()
    return one


def keep(spool: Spool, ds: Dataset, raw: bytes | None = None) -> Path:
    content = encoded(ds) if raw is None else raw
    sop_uid = str(ds.SOPInstanceUID)
    return spool.keep(sop_uid, header(sop_uid), content)


def scheduler(spool: Spool, sessions: sessionmaker[Session], broker_url: str = "memory://") -> Scheduler:
    return Scheduler(spool, sessions, Dispatcher(broker_url), TERMS)


def rows(sessions: sessionmaker[Session]) -> dict[str, Instance]:
    """The instances that have not been replaced, by SOP Instance UID."""
    with sessions.begin() as session:
        return {row.sop_uid: row for row in session.scalars(select(Instance).where(Instance.replaced_at.is_(None)))}


def test_hard_case_03_the_later_version_wins_after_an_outage(spool: Spool, sessions: sessionmaker[Session]) -> None:
    corrected = ct_slice(0)
    corrected.SeriesDescription = "corrected"
    # Long enough for several batches, and the folder lists its files in no order.
    for ds in [ct_slice(0), *(ct_slice(number) for number in range(250, 0, -1)), corrected]:
        keep(spool, ds)
    Registrar(spool, sessions).run(datetime.now(UTC))
    current = rows(sessions)
    assert len(current) == 251
    assert b"corrected" in Path(current[corrected.SOPInstanceUID].path).read_bytes()


def test_an_association_that_ends_while_images_are_registered(
    spool: Spool, sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    associations, one, minute = OpenSeries(spool.associations), scheduler(spool, sessions), timedelta(minutes=1)
    images = [ct_slice(number) for number in range(20)]
    assert associations.opened(1)
    associations.carried(1, series_uid())
    for ds in images[:12]:
        keep(spool, ds)
    one.tick(datetime.now(UTC))

    def run_while_the_rest_comes(registrar: Registrar, now: datetime) -> int:
        registered = run(registrar, now)
        for ds in images[12:]:
            keep(spool, ds)
        associations.ended(1, released=True)
        return registered

    run = Registrar.run
    with monkeypatch.context() as patch:
        patch.setattr(Registrar, "run", run_while_the_rest_comes)
        one.tick(datetime.now(UTC) + minute)
    assert series_states(sessions) == ["receiving"]
    one.tick(datetime.now(UTC) + 2 * minute)
    assert series_states(sessions) == ["complete"]
    assert len(rows(sessions)) == 20


def series_states(sessions: sessionmaker[Session]) -> list[str]:
    with sessions.begin() as session:
        return [row.series_state for row in audit.status(session)]


GARBLED = {
    "nan position": ("ImagePositionPatient", b"DS", b"nan\\nan\\nan "),
    "two coordinates": ("ImagePositionPatient", b"DS", b"1\\2 "),
    "words for a position": ("ImagePositionPatient", b"DS", b"here\\there\\ "),
    "an infinite orientation": ("ImageOrientationPatient", b"DS", b"1e999\\0\\0\\0\\1\\0"),
    "bytes for rows": ("Rows", b"OB", b"\x01\x00"),
    "letters for rows": ("Rows", b"LO", b"many"),
    "a date that is none": ("StudyDate", b"DA", b"19600000"),
    "a name in undeclared Latin-1": ("PatientName", b"PN", b"M\xdcLLER"),
    "a name padded with NUL": ("PatientName", b"PN", b"A\0\0\0"),
    "an unknown character set": ("SpecificCharacterSet", b"CS", b"ISO_IR 999"),
}


@pytest.mark.filterwarnings("ignore:Invalid value", "ignore:Unknown encoding", "ignore:Value", "ignore:Incorrect")
@pytest.mark.parametrize("what", GARBLED)
def test_a_garbled_value_keeps_no_image_from_being_registered(
    spool: Spool, sessions: sessionmaker[Session], what: str
) -> None:
    keyword, vr, value = GARBLED[what]
    broken, sound = ct_slice(0), ct_slice(1)
    keep(spool, broken, with_value(broken, keyword, vr, value))
    keep(spool, sound)
    watch = scheduler(spool, sessions)
    watch.tick(datetime.now(UTC))
    watch.tick(datetime.now(UTC) + LATER)
    assert set(rows(sessions)) == {broken.SOPInstanceUID, sound.SOPInstanceUID}
    with sessions.begin() as session:
        assert session.scalars(select(Job.state)).all() == ["queued"]


def with_value(ds: Dataset, keyword: str, vr: bytes, value: bytes) -> bytes:
    """Encode a data set with one element that pydicom itself would not write."""
    tag = Dataset()
    setattr(tag, keyword, None)
    (element,) = tag
    name = element.tag.group.to_bytes(2, "little") + element.tag.element.to_bytes(2, "little")
    length = b"\0\0" + len(value).to_bytes(4, "little") if vr == b"OB" else len(value).to_bytes(2, "little")
    before, after = Dataset(), Dataset()
    for other in ds:
        if other.tag != element.tag:
            (before if other.tag < element.tag else after).add(other)
    return encoded(before) + name + vr + length + value + encoded(after)


def test_a_row_the_database_refuses_is_set_aside_alone(
    spool: Spool, migrated_postgres: str, caplog: pytest.LogCaptureFixture
) -> None:
    sessions = open_database(migrated_postgres)
    with sessions.begin() as session:
        session.execute(text(REFUSE_ONE))
    for number in range(3):
        keep(spool, ct_slice(number))
    Registrar(spool, sessions).run(datetime.now(UTC))
    assert set(rows(sessions)) == {ct_slice(0).SOPInstanceUID, ct_slice(2).SOPInstanceUID}
    assert [path.name.split("-")[0] for path in (spool.root / "refused").iterdir()] == [ct_slice(1).SOPInstanceUID]
    assert spool.waiting() == []
    assert "CANARY" not in caplog.text + repr([vars(record) for record in caplog.records])
    sessions.kw["bind"].dispose()


# SQLSTATE 22000 is the class "data exception".
REFUSE_ONE = f"""
CREATE FUNCTION refuse_one() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.sop_uid = '{series_uid()}.2' THEN RAISE EXCEPTION 'no' USING ERRCODE = '22000'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER refuse_one BEFORE INSERT ON instance FOR EACH ROW EXECUTE FUNCTION refuse_one();
"""


def test_hard_case_07_images_wait_and_the_outage_is_logged_once(
    spool: Spool, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicom_node.scheduler.scheduler.PAUSE_AFTER_FAILURE_S", 0.05)
    folder = tmp_path / "database"
    folder.write_text("no folder yet, so the file below it cannot be opened")
    engine = create_engine(f"sqlite:///{folder / 'scleroscan.db'}")
    keep(spool, ct_slice(0))
    watch = scheduler(spool, sessionmaker(engine))
    with ticking(watch) as leading:
        services.wait_until(lambda: "database away" in caplog.text)
        seen = leading.rounds
        services.wait_until(lambda: leading.rounds > seen + 5)
        assert len(spool.waiting()) == 1
        folder.unlink()
        schema.upgrade(str(engine.url))
        services.wait_until(lambda: not spool.waiting())
    assert caplog.text.count("database away") == 1
    engine.dispose()


@contextmanager
def ticking(watch: Scheduler) -> Iterator["Leading"]:
    """Run the scheduler's loop in a thread for the length of the block, as one that leads."""
    stop, leading = Event(), Leading()
    thread = Thread(target=watch.run, args=(stop, leading))
    thread.start()
    try:
        yield leading
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()


class Leading:
    """The candidacy of a scheduler that is alone."""

    leads = True
    rounds = 0

    def came_round(self) -> None:
        """Count the rounds of the loop."""
        self.rounds += 1


def test_the_scheduler_logs_a_failure_without_values_and_goes_on(
    spool: Spool, migrated_postgres: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicom_node.scheduler.scheduler.PAUSE_AFTER_FAILURE_S", 0.05)
    sessions = open_database(migrated_postgres)
    with sessions.begin() as session:
        session.execute(text("ALTER TABLE study ADD CONSTRAINT nobody CHECK (patient_name = '')"))
    keep(spool, ct_slice(0))
    with ticking(scheduler(spool, sessions)):
        services.wait_until(lambda: "goes on" in caplog.text)
        with sessions.begin() as session:
            session.execute(text("ALTER TABLE study DROP CONSTRAINT nobody"))
        services.wait_until(lambda: not spool.waiting())
    assert "CANARY" not in caplog.text + repr([vars(record) for record in caplog.records])
    sessions.kw["bind"].dispose()


def test_hard_case_24_a_wake_up_is_sent_once_then_by_the_sweep(
    spool: Spool, sessions: sessionmaker[Session], redis_url: str
) -> None:
    with queue(redis_url) as messages:
        job_id = open_job(spool, scheduler(spool, sessions, redis_url), sessions)
        assert messages() == [[job_id]]
        start = datetime.now(UTC) + LATER
        scheduler(spool, sessions, redis_url).tick(start + timedelta(seconds=10))
        assert len(messages()) == 1
        redis.Redis.from_url(redis_url).delete("analyse")
        scheduler(spool, sessions, redis_url).tick(start + timedelta(seconds=61))
        assert messages() == [[job_id]]


def test_work_that_waits_for_long_is_not_woken_for_again(
    spool: Spool, sessions: sessionmaker[Session], redis_url: str
) -> None:
    with queue(redis_url) as messages:
        watch = scheduler(spool, sessions, redis_url)
        job_id = open_job(spool, watch, sessions)
        for minutes in range(1, 6):
            watch.tick(datetime.now(UTC) + LATER + timedelta(minutes=minutes, seconds=1))
        assert messages() == [[job_id]]


def test_hard_case_07_a_wake_up_is_sent_once_the_broker_returns(
    spool: Spool, sessions: sessionmaker[Session], redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = f"redis://127.0.0.1:{services.free_port()}/0"
    watch = scheduler(spool, sessions, away)
    job_id = open_job(spool, watch, sessions)
    with queue(redis_url) as messages:
        monkeypatch.setattr(watch._waking, "_dispatcher", Dispatcher(redis_url))
        watch.tick(datetime.now(UTC) + LATER + timedelta(seconds=1))
        assert messages() == [[job_id]]


def open_job(spool: Spool, watch: Scheduler, sessions: sessionmaker[Session]) -> int:
    """Receive a short series and tick until it is closed."""
    for number in range(4):
        keep(spool, ct_slice(number))
    watch.tick(datetime.now(UTC))
    watch.tick(datetime.now(UTC) + LATER)
    with sessions.begin() as session:
        return session.scalars(select(Job.id)).one()


@contextmanager
def queue(redis_url: str) -> Iterator[Callable[[], list[list[object]]]]:
    """Empty the broker; yield a reader of the arguments of every message on the queue ``analyse``."""
    client = redis.Redis.from_url(redis_url)
    client.flushall()

    def read() -> list[list[object]]:
        messages = [json.loads(raw) for raw in client.lrange("analyse", 0, -1)]
        assert {message["headers"]["task"] for message in messages} <= {"scleroscan.analyse"}
        return [json.loads(b64decode(message["body"]))[0] for message in reversed(messages)]

    yield read
    client.close()


def connections(listening: socket.socket) -> int:
    """Count the connections that came since the last time, and close them."""
    listening.setblocking(False)
    for number in itertools.count():
        try:
            listening.accept()[0].close()
        except BlockingIOError:
            return number
    raise AssertionError


def test_an_absent_broker_costs_one_try_a_tick_for_all_jobs(spool: Spool, sessions: sessionmaker[Session]) -> None:
    """A listening socket that never answers is the slowest way for a broker to be away."""
    for number in range(6):
        keep(spool, ct_slice(0, series=number + 1))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        watch = scheduler(spool, sessions, f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        watch.tick(datetime.now(UTC))
        assert connections(silent) == 0, "nothing is to be queued yet"
        watch.tick(datetime.now(UTC) + LATER)
        assert connections(silent) == 1
    with sessions.begin() as session:
        assert session.scalars(select(Job.state)).all() == ["queued"] * 6


def test_hard_case_03_late_images_reopen_and_supersede(spool: Spool, sessions: sessionmaker[Session]) -> None:
    watch = scheduler(spool, sessions)
    first = open_job(spool, watch, sessions)
    keep(spool, ct_slice(4))
    watch.tick(datetime.now(UTC))
    assert states(sessions) == ("receiving", {first: "queued"})
    watch.tick(datetime.now(UTC) + LATER)
    series, jobs = states(sessions)
    assert (series, jobs[first], sorted(jobs.values())) == ("complete", "superseded", ["queued", "superseded"])


def test_hard_case_03_the_same_images_again_open_no_second_job(spool: Spool, sessions: sessionmaker[Session]) -> None:
    watch = scheduler(spool, sessions)
    first = open_job(spool, watch, sessions)
    for number in range(4):
        keep(spool, ct_slice(number))
    watch.tick(datetime.now(UTC))
    watch.tick(datetime.now(UTC) + LATER)
    assert states(sessions) == ("complete", {first: "queued"})


def states(sessions: sessionmaker[Session]) -> tuple[str, dict[int, str]]:
    """The state of the one series, and of every job."""
    with sessions.begin() as session:
        jobs = {job.id: job.state for job in session.scalars(select(Job))}
        return session.scalars(select(Series.state)).one(), jobs


def test_hard_case_34_a_clock_set_back_holds_nothing_back(
    spool: Spool, sessions: sessionmaker[Session], redis_url: str
) -> None:
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    with queue(redis_url) as messages:
        # Both before the clock is set back: a job that was queued, and a series that is still being received.
        watch = scheduler(spool, sessions, redis_url)
        first = open_job(spool, watch, sessions)
        moment = (datetime.now(UTC) + LATER).timestamp()
        os.utime(keep(spool, ct_slice(0, series=2)), (moment, moment))
        watch.tick(datetime.now(UTC) + LATER)
        assert messages() == [[first]]
        watch.tick(an_hour_ago)
        assert messages() == [[first], [first]]
        watch.tick(an_hour_ago + LATER)
        with sessions.begin() as session:
            assert session.scalars(select(Series.state)).all() == ["complete", "complete"]
            jobs = session.scalars(select(Job.id)).all()
        assert len(jobs) == 2
        assert sorted({words[0] for words in messages()}) == sorted(jobs)


def test_a_queue_tells_its_messages_and_an_absent_broker_none(redis_url: str) -> None:
    there, away = Dispatcher(redis_url), Dispatcher(f"redis://127.0.0.1:{services.free_port()}/0")
    with queue(redis_url):
        counts = [there.messages("analyse")]
        for job_id in (1, 2):
            assert there.analyse(job_id)
            counts.append(there.messages("analyse"))
    assert counts == [0, 1, 2]
    assert away.messages("analyse") is None
