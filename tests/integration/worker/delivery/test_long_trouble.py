"""Archives that are away for an hour, slow, choosy or cut off: whatever happens, each has each object once."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from db import audit, tracking
from db.audit import DeliveryStatus
from db.states import DeliveryState, JobState
from db.tables import Delivery, Job
from db.tracking import LeaseTerms
from dicom_node.scp.archive import Archive
from tests.integration.worker.delivery.test_delivery import encoded_job
from tests.support import cutting_relay, services
from worker.delivery import association
from worker.delivery_task import DeliveryTask
from worker.results import files
from worker.settings import WorkerSettings

Sessions = sessionmaker[Session]
SEG, SR = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.88.34"
LARGE = 40_000_000


@dataclass
class Site:
    """Delivers by a clock of its own, woken as the scheduler wakes."""

    sessions: Sessions
    job_id: int
    destination: str
    settings: WorkerSettings = field(default_factory=WorkerSettings)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def deliver(self) -> None:
        DeliveryTask(self.settings, self.sessions, "delivery_task", lambda: self.now).run(self.job_id, self.destination)

    def deliver_for(self, seconds: int) -> None:
        """Let time pass, five seconds a step, and deliver whenever something is due."""
        for _ in range(seconds // 5):
            self.now += timedelta(seconds=5)
            with self.sessions.begin() as session:
                due = tracking.due_deliveries(session, self.now)
            if due:
                self.deliver()

    def claim_and_resume(self) -> None:
        """Do what a worker does with a job that was retried after its results were encoded."""
        with self.sessions.begin() as session:
            held = tracking.claim(session, self.job_id, "worker", LeaseTerms(60, 3), self.now)
            assert held is not None
            tracking.resume(session, held, (tracking.Recipient(self.destination),), self.now)

    def deliveries(self) -> list[DeliveryStatus]:
        with self.sessions.begin() as session:
            (series,) = audit.status(session)
            assert tracking.verify_chain(session, series.series_uid) is None
            return list(series.deliveries)

    def states(self) -> list[tuple[str, str | None]]:
        return [(one.state, one.code) for one in self.deliveries()]


@dataclass
class Taken:
    """What an archive was sent, in its order."""

    port: int
    sop_uids: list[str] = field(default_factory=list)


@contextmanager
def taking(classes: list[str], port: int = 0, answers_after_s: float = 0.0) -> Iterator[Taken]:
    """An archive that takes these classes, each object after a while."""
    entity = AE("ARCHIVE")
    for sop_class in classes:
        entity.add_supported_context(sop_class)

    def store(event: evt.Event) -> int:
        time.sleep(answers_after_s)
        taken.sop_uids.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    taken = Taken(int(server.server_address[1]))
    try:
        yield taken
    finally:
        server.shutdown()


def site(sessions: Sessions, objects: list[files.WrittenFile], port: int) -> Site:
    destination = f"dicom://ARCHIVE@127.0.0.1:{port}"
    return Site(sessions, encoded_job(sessions, objects, destination), destination)


def test_hard_case_29_a_pacs_away_for_an_hour_gets_all_once(
    sessions: Sessions, tmp_path: Path, objects: list[files.WrittenFile]
) -> None:
    port = services.free_port()
    one = site(sessions, objects, port)
    one.deliver_for(3600)
    assert one.states() == [("pending", "connection_refused")] * 2
    # 5, 10, 20 … seconds: an hour holds ten tries, not one every five seconds.
    assert [each.attempts for each in one.deliveries()] == [10, 10]
    with Archive(tmp_path / "archive", port=port) as archive:
        one.deliver_for(1600)
        assert sorted(path.stem for path in archive.instances()) == sorted(file.sop_uid or "" for file in objects)
    assert one.states() == [("sent", None)] * 2


def test_hard_case_29_seg_is_taken_where_sr_is_not(sessions: Sessions, objects: list[files.WrittenFile]) -> None:
    with taking([SEG]) as archive:
        one = site(sessions, objects, archive.port)
        one.deliver()
        assert one.states() == [("sent", None), ("failed", "no_presentation_context")]
        assert archive.sop_uids == [objects[0].sop_uid]
    with sessions.begin() as session:
        (row,) = audit.status(session)
        assert (row.state, row.code) == ("failed", "delivery_failed")
        tracking.retry(session, one.job_id, "operator:anna", one.now)
    with taking([SEG, SR], archive.port) as mended:
        one.claim_and_resume()
        one.deliver()
        assert mended.sop_uids == [objects[1].sop_uid]
    assert one.states() == [("sent", None)] * 2


def test_hard_case_29_who_answers_slowly_is_waited_for(
    sessions: Sessions, objects: list[files.WrittenFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Thirty seconds an answer is slow and no failure.
    assert association.ANSWER_TIMEOUT_S > 2 * 30
    with taking([SEG, SR], answers_after_s=0.7) as archive:
        one = site(sessions, objects, archive.port)
        monkeypatch.setattr(association, "ANSWER_TIMEOUT_S", 0.2)
        one.deliver()
        assert one.states() == [("pending", "broke_off")] * 2
        monkeypatch.setattr(association, "ANSWER_TIMEOUT_S", 20)
        one.deliver_for(10)
        assert one.states() == [("sent", None)] * 2
        # What it took while nobody waited any more came under the same UID again.
        assert set(archive.sop_uids) == {file.sop_uid for file in objects}


def test_hard_case_29_cut_off_within_40_mb_it_is_there_once(
    sessions: Sessions, orthanc: services.Orthanc, objects: list[files.WrittenFile]
) -> None:
    large = enlarged(objects[0])
    with cutting_relay.running(orthanc.dicom_port) as relay:
        destination = f"dicom://{orthanc.ae_title}@127.0.0.1:{relay.port}"
        one = Site(sessions, encoded_job(sessions, [large], destination), destination)
        relay.after_bytes = LARGE // 2
        one.deliver()
        assert one.states() == [("pending", "broke_off")]
        assert found(orthanc, large) == 0
        relay.after_bytes = None
        one.deliver_for(10)
    assert (relay.cuts, one.states()) == (1, [("sent", None)])
    assert found(orthanc, large) == 1


def test_hard_case_31_sent_twice_orthanc_holds_each_once(
    sessions: Sessions, orthanc: services.Orthanc, objects: list[files.WrittenFile]
) -> None:
    one = Site(sessions, encoded_job(sessions, objects, orthanc.destination), orthanc.destination)
    one.deliver()
    assert one.states() == [("sent", None)] * 2
    # As after a restore of the database: the rows know nothing of it.
    with sessions.begin() as session:
        session.get_one(Job, one.job_id).state = JobState.ENCODED
        for delivery in session.scalars(select(Delivery)):
            delivery.state, delivery.due_at = DeliveryState.PENDING, one.now
    one.deliver()
    assert [found(orthanc, file) for file in objects] == [1, 1]


def enlarged(written: files.WrittenFile) -> files.WrittenFile:
    """Return an object of 40 MB, in the place of a small one, with a UID that the archive does not have yet."""
    ds = dcmread(written.path)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.add_new(0x00091010, "OB", bytes(LARGE))
    ds.add_new(0x00090010, "LO", "SCLEROSCAN TEST")
    ds.save_as(written.path)
    digest = sha256(written.path.read_bytes()).hexdigest()
    return files.WrittenFile(written.kind, written.path, digest, str(ds.SOPInstanceUID))


def found(archive: services.Orthanc, file: files.WrittenFile) -> int:
    query = {"Level": "Instance", "Query": {"SOPInstanceUID": file.sop_uid}}
    return len(archive.request("POST", "/tools/find", query))
