"""Delivery on real sockets: what is taken, what passes, what is final."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.orm import Session, sessionmaker

from db import audit, tracking
from db.address import ApplicationEntity
from db.tracking import Arrival, JobIdentity, JobResults, LeaseTerms, OutputFile
from dicom_node.scp.archive import Archive
from tests.integration.db.test_tracking import ARRIVAL
from tests.support import services
from worker.delivery import dicom
from worker.delivery_task import DeliveryTask
from worker.errors import PeerRefused, PeerUnreachable
from worker.results import files
from worker.settings import WorkerSettings


def nobody() -> ApplicationEntity:
    return ApplicationEntity("NOBODY", "127.0.0.1", services.free_port())


def test_an_archive_keeps_one_file_of_an_object_sent_twice(archive: Archive, objects: list[files.WrittenFile]) -> None:
    destination = ApplicationEntity("ARCHIVE", "127.0.0.1", archive.port)
    for _ in range(2):
        receipts = dicom.store([file.path for file in objects], destination, "SCLEROSCAN")
        assert [r.status for r in receipts] == [0, 0]
    assert {path.stem for path in archive.instances()} == {file.sop_uid for file in objects}


def test_orthanc_takes_seg_and_sr(orthanc: services.Orthanc, objects: list[files.WrittenFile]) -> None:
    receipts = dicom.store([f.path for f in objects], ApplicationEntity.parse_url(orthanc.destination), "SCLEROSCAN")
    assert [r.status for r in receipts] == [0, 0]


def test_orthanc_takes_the_page_of_three_frames(orthanc: services.Orthanc, page: files.WrittenFile) -> None:
    (receipt,) = dicom.store([page.path], ApplicationEntity.parse_url(orthanc.destination), "SCLEROSCAN")
    assert receipt.status == 0


def test_nobody_listening_may_pass(objects: list[files.WrittenFile]) -> None:
    with pytest.raises(PeerUnreachable):
        dicom.store([objects[0].path], nobody(), "SCLEROSCAN")


def test_a_peer_without_segmentation_storage_is_final(tmp_path: Path, objects: list[files.WrittenFile]) -> None:
    port = services.free_port()
    configuration = tmp_path / "storescp.cfg"
    configuration.write_text(STORESCP)
    command = [services.program("storescp"), "-od", str(tmp_path), "-xf", str(configuration), "CTOnly", str(port)]
    with services.running(command, tmp_path / "storescp.log"):
        services.wait_until(lambda: services.port_answers(port), what="storescp")
        with pytest.raises(PeerRefused) as refused:
            dicom.store([objects[0].path], ApplicationEntity("CTONLY", "127.0.0.1", port), "SCLEROSCAN")
    assert refused.value.code == "no_presentation_context"


def test_hard_case_29_a_refused_class_holds_back_no_other(
    sessions: sessionmaker[Session], tmp_path: Path, objects: list[files.WrittenFile], page: files.WrittenFile
) -> None:
    port = services.free_port()
    configuration = tmp_path / "storescp.cfg"
    configuration.write_text(NO_PAGES)
    command = [services.program("storescp"), "-od", str(tmp_path), "-xf", str(configuration), "Results", str(port)]
    destination = f"dicom://RESULTS@127.0.0.1:{port}"
    job_id = encoded_job(sessions, [page, *objects], destination)
    with services.running(command, tmp_path / "storescp.log"):
        services.wait_until(lambda: services.port_answers(port), what="storescp")
        DeliveryTask(WorkerSettings(), sessions, "delivery_task").run(job_id, destination)
    with sessions.begin() as session:
        (row,) = audit.status(session)
    assert row.state == "delivered"
    assert [(one.kind, one.state, one.code) for one in row.deliveries] == [
        ("page", "failed", "no_presentation_context"),
        ("seg", "sent", None),
        ("sr", "sent", None),
    ]


STORESCP = """
[[TransferSyntaxes]]
[Plain]
TransferSyntax1 = LittleEndianExplicit
[[PresentationContexts]]
[CT]
PresentationContext1 = CTImageStorage\\Plain
[[Profiles]]
[CTOnly]
PresentationContexts = CT
"""
NO_PAGES = """
[[TransferSyntaxes]]
[Plain]
TransferSyntax1 = LittleEndianExplicit
[[PresentationContexts]]
[Results]
PresentationContext1 = SegmentationStorage\\Plain
PresentationContext2 = Comprehensive3DSRStorage\\Plain
[[Profiles]]
[Results]
PresentationContexts = Results
"""


def test_a_non_dicom_file_is_refused_before_any_association(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("no DICOM")
    with pytest.raises(PeerRefused) as refused:
        dicom.store([tmp_path / "note.txt"], nobody(), "SCLEROSCAN")
    assert refused.value.code == "unsendable_file"


def encoded_job(sessions: sessionmaker[Session], objects: list[files.WrittenFile], destination: str) -> int:
    now = datetime.now(UTC)
    arrival: Arrival = ARRIVAL
    outputs = tuple(OutputFile(f.kind, str(f.path), f.digest, f.sop_uid) for f in objects)
    with sessions.begin() as session:
        tracking.register(session, [arrival], now)
        tracking.close_series(session, arrival.series_uid, "complete", "quiet", {}, now)
        job_id = tracking.open_job(session, arrival.series_uid, JobIdentity("m" * 64, "s" * 64), now)
        held = tracking.claim(session, job_id, "worker", LeaseTerms(60, 3), now)
        assert held is not None
        tracking.record_results(session, held, JobResults((), (), outputs), (tracking.Recipient(destination),), now)
    return job_id


def test_the_courier_delivers_and_the_job_is_delivered(
    sessions: sessionmaker[Session], archive: Archive, objects: list[files.WrittenFile]
) -> None:
    destination = f"dicom://ARCHIVE@127.0.0.1:{archive.port}"
    job_id = encoded_job(sessions, objects, destination)
    DeliveryTask(WorkerSettings(), sessions, "delivery_task").run(job_id, destination)
    with sessions.begin() as session:
        assert audit.status(session)[0].state == "delivered"
    assert len(list(archive.instances())) == 2


def test_hard_case_29_a_pacs_that_is_down_gets_its_objects(
    sessions: sessionmaker[Session], tmp_path: Path, objects: list[files.WrittenFile]
) -> None:
    port = services.free_port()
    destination = f"dicom://ARCHIVE@127.0.0.1:{port}"
    job_id = encoded_job(sessions, objects, destination)
    delivery_task = DeliveryTask(WorkerSettings(delivery_retry_s=0.1), sessions, "delivery_task")
    delivery_task.run(job_id, destination)
    with sessions.begin() as session:
        (row,) = audit.status(session)
        assert row.state == "encoded"
        assert [(d.state, d.attempts) for d in row.deliveries] == [("pending", 1), ("pending", 1)]
    with Archive(tmp_path / "archive", port=port) as archive:
        services.wait_until(lambda: _all_sent(sessions, delivery_task, job_id, destination), what="the delivery")
        assert len(list(archive.instances())) == 2


def _all_sent(sessions: sessionmaker[Session], delivery_task: DeliveryTask, job_id: int, destination: str) -> bool:
    delivery_task.run(job_id, destination)
    with sessions.begin() as session:
        return audit.status(session)[0].state == "delivered"


def test_patience_ends(sessions: sessionmaker[Session], objects: list[files.WrittenFile]) -> None:
    destination = f"dicom://NOBODY@127.0.0.1:{services.free_port()}"
    job_id = encoded_job(sessions, objects, destination)
    delivery_task = DeliveryTask(WorkerSettings(delivery_retry_s=0.1, delivery_give_up_s=1), sessions, "delivery_task")
    until = datetime.now(UTC) + timedelta(seconds=1)
    services.wait_until(lambda: datetime.now(UTC) > until)
    delivery_task.run(job_id, destination)
    with sessions.begin() as session:
        (row,) = audit.status(session)
    assert (row.state, row.code) == ("failed", "delivery_failed")
    assert row.reason is not None
    assert row.reason.startswith(f"not delivered to {destination}: ")
    assert "does not answer" in row.reason


def test_a_result_file_that_was_changed_is_not_sent(
    sessions: sessionmaker[Session], archive: Archive, objects: list[files.WrittenFile]
) -> None:
    destination = f"dicom://ARCHIVE@127.0.0.1:{archive.port}"
    job_id = encoded_job(sessions, objects, destination)
    objects[0].path.write_bytes(objects[0].path.read_bytes() + b"\0")
    DeliveryTask(WorkerSettings(), sessions, "delivery_task").run(job_id, destination)
    with sessions.begin() as session:
        (row,) = audit.status(session)
        assert (row.state, [d.state for d in row.deliveries]) == ("failed", ["failed", "sent"])
    assert len(list(archive.instances())) == 1
