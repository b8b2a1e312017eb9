"""Proof of delivery: storage commitment and queries at archives that are real."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import AE, evt
from sqlalchemy.orm import Session, sessionmaker

from db import audit, tracking
from db.address import ApplicationEntity
from db.audit import DeliveryStatus
from db.commitment import CommitmentReport
from dicom_node.scp.archive import Archive
from tests.integration.worker.delivery.test_delivery import encoded_job
from tests.support import node_service, services
from tests.support.ct import TinyCT
from worker.delivery import dicom, dicom_file, proof
from worker.delivery.association import Caller
from worker.delivery.proof import Finding
from worker.delivery_task import DeliveryTask
from worker.errors import PeerUnreachable
from worker.proof_task import ProofTask
from worker.results import files
from worker.settings import WorkerSettings

Sessions = sessionmaker[Session]


@dataclass(frozen=True)
class Site:
    """What delivers to one archive."""

    sessions: Sessions
    destination: str
    settings: WorkerSettings
    job_id: int

    def deliver(self) -> list[DeliveryStatus]:
        DeliveryTask(self.settings, self.sessions, "delivery_task").run(self.job_id, self.destination)
        return self.deliveries()

    def prove(self) -> list[DeliveryStatus]:
        ProofTask(self.settings, self.sessions, "proof_task").run(self.job_id, self.destination)
        return self.deliveries()

    def prove_until(self, *states: str) -> None:
        """Seek proofs as they become due, until the objects are in these states."""
        services.wait_until(lambda: tuple(one.state for one in self.prove()) == states, what=f"the states {states}")

    def deliveries(self) -> list[DeliveryStatus]:
        with self.sessions.begin() as session:
            return list(audit.status(session)[0].deliveries)

    def result(self) -> dict[str, Any]:
        with self.sessions.begin() as session:
            return audit.results(session)[0] if audit.results(session) else {}

    def codes(self, subject: str) -> list[tuple[str | None, str, str | None]]:
        """(from, to, code) of the events of a subject."""
        with self.sessions.begin() as session:
            trail = audit.trail(session, audit.status(session)[0].series_uid)
            assert tracking.verify_chain(session, audit.status(session)[0].series_uid) is None
        return [(one["from_state"], one["to_state"], one["code"]) for one in trail if one["subject"] == subject]


def site(sessions: Sessions, objects: list[files.WrittenFile], destination: str, **settings: Any) -> Site:
    fields = {"proof_wait_s": 0.2} | settings
    return Site(sessions, destination, WorkerSettings(**fields), encoded_job(sessions, objects, destination))


@contextmanager
def committing(folder: Path, sessions: Sessions, **node: Any) -> Iterator[services.Orthanc]:
    """A listener of ours, and an Orthanc that knows it: its reports come over associations of its own."""
    with node_service.running(folder, sessions, **node) as ours:
        modality = {"ours": {"AET": "SCLEROSCAN", "Host": "127.0.0.1", "Port": ours.port}}
        with services.orthanc(folder / "orthanc", DicomModalities=modality) as archive:
            yield archive


def delete(archive: services.Orthanc, sop_uid: str | None) -> None:
    """Delete an instance by the archive's own interface."""
    (found,) = archive.request("POST", "/tools/find", {"Level": "Instance", "Query": {"SOPInstanceUID": sop_uid}})
    archive.request("DELETE", f"/instances/{found}")


def test_orthanc_commits_and_reports_to_our_listener(
    tmp_path: Path, sessions: Sessions, objects: list[files.WrittenFile], page: files.WrittenFile
) -> None:
    with committing(tmp_path, sessions) as archive:
        one = site(sessions, [*objects, page], archive.destination, proof_wait_s=30)
        assert [(d.kind, d.state, d.proof) for d in one.deliver()] == [
            ("seg", "sent", "open"), ("sr", "sent", "open"), ("page", "sent", "open"),
        ]  # fmt: skip
        one.prove()
        services.wait_until(lambda: {d.state for d in one.deliveries()} == {"committed"}, what="the report")
        assert {d.proof for d in one.deliveries()} == {"commitment"}
        assert one.codes("delivery")[-3:] == [("sent", "committed", "commitment")] * 3


def test_hard_case_29_what_orthanc_lost_is_sent_again(
    tmp_path: Path, sessions: Sessions, objects: list[files.WrittenFile]
) -> None:
    with committing(tmp_path, sessions) as archive:
        one = site(sessions, objects, archive.destination, proof_wait_s=1)
        one.deliver()
        delete(archive, objects[0].sop_uid)
        one.prove()
        services.wait_until(
            lambda: [d.state for d in one.deliveries()] == ["pending", "committed"], what="the report of a missing one"
        )
        assert one.codes("job")[-1] == ("delivered", "encoded", "not_kept")
        assert [d.state for d in one.deliver()] == ["sent", "committed"]
        one.prove_until("committed", "committed")
        assert ("sent", "pending", "not_kept") in one.codes("delivery")
        assert one.codes("job")[-1] == ("encoded", "delivered", None)


def test_a_query_at_the_image_level_proves_where_nobody_commits(
    tmp_path: Path, sessions: Sessions, objects: list[files.WrittenFile]
) -> None:
    with dcmqrscp(tmp_path / "dcmqrscp") as port:
        one = site(sessions, objects, f"dicom://ARCHIVE@127.0.0.1:{port}")
        one.deliver()
        assert [(d.state, d.proof) for d in one.prove()] == [("committed", "query")] * 2


@contextmanager
def dcmqrscp(folder: Path) -> Iterator[int]:
    """DCMTK's archive, which finds and does not commit."""
    port = services.free_port()
    (folder / "images").mkdir(parents=True)
    (folder / "archive.cfg").write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
        "HostTable BEGIN\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nARCHIVE {folder / 'images'} RW (200, 1024mb) ANY\nAETable END\n"
    )
    command = [services.program("dcmqrscp"), "-c", str(folder / "archive.cfg")]
    with services.running(command, folder / "dcmqrscp.log"):
        services.wait_until(lambda: services.port_answers(port), what="dcmqrscp")
        yield port


def test_what_a_query_never_finds_is_sent_again(
    tmp_path: Path, sessions: Sessions, objects: list[files.WrittenFile], orthanc: services.Orthanc
) -> None:
    (tmp_path / "site.toml").write_text(f'[[destination]]\nurl = "{orthanc.destination}"\nproof = "query"\n')
    one = site(sessions, objects, orthanc.destination, site_file=tmp_path / "site.toml", proof_wait_s=0.1)
    one.deliver()
    delete(orthanc, objects[1].sop_uid)
    assert [(d.state, d.code) for d in one.prove()] == [("committed", None), ("sent", "not_found")]
    one.prove_until("committed", "pending")
    one.deliver()
    one.prove_until("committed", "committed")


def test_qido_proves_what_stow_brought(
    sessions: Sessions, objects: list[files.WrittenFile], orthanc: services.Orthanc
) -> None:
    one = site(sessions, objects, orthanc.dicom_web)
    assert {d.state for d in one.deliver()} == {"sent"}
    delete(orthanc, objects[0].sop_uid)
    assert [(d.state, d.proof) for d in one.prove()] == [("sent", "open"), ("committed", "query")]
    one.prove_until("pending", "committed")
    one.deliver()
    one.prove_until("committed", "committed")


def test_without_commitment_and_query_it_stays_not_proven(
    tmp_path: Path, sessions: Sessions, objects: list[files.WrittenFile]
) -> None:
    port = services.free_port()
    command = [services.program("storescp"), "-od", str(tmp_path), "+xa", str(port)]
    with services.running(command, tmp_path / "storescp.log"):
        services.wait_until(lambda: services.port_answers(port), what="storescp")
        one = site(sessions, objects, f"dicom://STORE@127.0.0.1:{port}")
        one.deliver()
        assert [(d.state, d.proof, d.code) for d in one.prove()] == [("sent", "not proven", "not_proven")] * 2
    assert one.codes("delivery")[-1] == ("sent", "sent", "not_proven")
    with sessions.begin() as session:
        assert tracking.due_deliveries(session, datetime.now(UTC) + timedelta(days=99)) == []


def test_an_archive_that_is_away_is_asked_again_later(
    sessions: Sessions, objects: list[files.WrittenFile], archive: Archive
) -> None:
    destination = f"dicom://ARCHIVE@127.0.0.1:{archive.port}"
    one = site(sessions, objects, destination, proof_wait_s=60)
    one.deliver()
    archive.__exit__()
    found = one.prove()
    assert [(d.state, d.proof, d.code) for d in found] == [("sent", "open", "connection_refused")] * 2
    assert [d.state for d in one.prove()] == ["sent", "sent"], "not due yet"


def test_a_report_on_the_association_of_the_request_is_taken(
    tmp_path: Path, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, "SAME_ASSOCIATION_S", 60)
    path = tmp_path / "site.toml"
    path.write_text('[[peer]]\nae_title = "SCLEROSCAN"\nstorage_commitment = true\n[routing]\nrule = []\n')
    paths = TinyCT(slices=2).write(tmp_path / "ct")
    # The node is the archive here: it commits to images that it was sent.
    with node_service.running(tmp_path, sessions, site_file=path) as node:
        peer = ApplicationEntity("SCLEROSCAN", "127.0.0.1", node.port)
        dicom.store(paths[:1], peer, "SCLEROSCAN")
        asked: list[str] = []
        search = proof.Search([dicom_file.read(one) for one in paths], ("commitment",), asked.append)
        found = proof.seek(Caller(peer, "SCLEROSCAN"), search)
    assert isinstance(found, CommitmentReport)
    assert asked == [found.transaction_uid]
    uids = [dicom_file.read(one).sop_uid for one in paths]
    assert {one.sop_uid: one.failure for one in found.outcomes} == {uids[0]: None, uids[1]: 0x0112}


class Stumbling(ProofTask):
    """Fails as nobody foresaw."""

    def _seek(self, items: object, files: object, destination: str) -> Finding:
        raise ZeroDivisionError(f"{items} {files} {destination}")


def test_what_nobody_foresaw_leaves_a_proof_to_be_sought(
    sessions: Sessions, objects: list[files.WrittenFile], archive: Archive
) -> None:
    one = site(sessions, objects, f"dicom://ARCHIVE@127.0.0.1:{archive.port}", proof_wait_s=60)
    one.deliver()
    with pytest.raises(ZeroDivisionError):
        Stumbling(one.settings, sessions, "proof_task").run(one.job_id, one.destination)
    assert [(d.proof, d.code) for d in one.deliveries()] == [("open", "unexpected_error")] * 2
    with sessions.begin() as session:
        assert tracking.due_deliveries(session, datetime.now(UTC) + timedelta(seconds=61)) != []


def test_an_archive_that_finds_without_end_is_left(
    objects: list[files.WrittenFile],
) -> None:
    def find(_event: evt.Event) -> Iterator[tuple[int, Dataset]]:
        while True:
            match = Dataset()
            match.QueryRetrieveLevel, match.SOPInstanceUID = "IMAGE", "1.2.3"
            yield 0xFF00, match

    entity = AE("ENDLESS")
    entity.add_supported_context(proof.STUDY_ROOT_FIND)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, find)])
    peer = ApplicationEntity("ENDLESS", "127.0.0.1", int(server.server_address[1]))
    search = proof.Search([dicom_file.read(objects[0].path)], ("query",), lambda _: None)
    try:
        with pytest.raises(PeerUnreachable):
            proof.seek(Caller(peer, "SCLEROSCAN"), search)
    finally:
        server.shutdown()
