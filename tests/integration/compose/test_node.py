"""The node on real sockets: what senders are told, what lies in the spool, what stands in the rows."""

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, RLELossless
from pynetdicom import AE
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from sqlalchemy.orm import Session, sessionmaker

from db import audit
from db.address import ApplicationEntity
from db.tables import Instance
from db.tracking import JobIdentity
from dicom_node.answers import KEPT_FOR_WHO_ASKED
from dicom_node.scheduler.closing import Terms
from dicom_node.scheduler.dispatch import Dispatcher
from dicom_node.scheduler.registrar import Registrar
from dicom_node.scheduler.scheduler import Scheduler
from dicom_node.scp.handlers import Receiver
from dicom_node.scp.listener import Address, Listener
from dicom_node.series.completeness import Policy
from dicom_node.spool.folder import Spool
from dicom_node.spool.image import CT_CLASSES
from tests.support import services
from tests.support.ct import TinyCT
from worker.delivery import dicom
from worker.errors import PeerRefused, PeerUnreachable

NOW = datetime.now(UTC)
TERMS = Terms(JobIdentity("m" * 64, "s" * 64), Policy(quiet_s=5, gap_wait_s=20, stalled_s=300), renotify_s=60)


class Node:
    """A receiver with its listener, on a port of its own."""

    def __init__(self, folder: Path, min_free_mb: int = 0) -> None:
        self.spool = Spool(folder / "spool", min_free_mb)
        self.spool.prepare()
        self.receiver = Receiver(self.spool)
        address = Address("SCLEROSCAN", "127.0.0.1", 0)
        self.listener = Listener(address, self.receiver.handlers(), CT_CLASSES)
        self.address = ApplicationEntity("SCLEROSCAN", "127.0.0.1", self.listener.port)

    def scheduler(self, sessions: sessionmaker[Session], broker_url: str = "memory://") -> Scheduler:
        return Scheduler(self.spool, sessions, Dispatcher(broker_url), TERMS)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    one = Node(tmp_path)
    with one.listener:
        yield one


def answer(node: Node, path: Path, **request_changes: str) -> int:
    """Send one file as a request whose UIDs need not be the data set's, and return the status."""
    dataset = dcmread(path)
    entity = AE("SCANNER")
    entity.add_requested_context(dataset.SOPClassUID, ExplicitVRLittleEndian)
    association = entity.associate("127.0.0.1", node.address.port, evt_handlers=[KEPT_FOR_WHO_ASKED])
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID = dataset.SOPClassUID
    request.AffectedSOPInstanceUID = request_changes.get("sop_uid", dataset.SOPInstanceUID)
    request.DataSet = BytesIO(encode(dataset, is_implicit_vr=False, is_little_endian=True))
    association.dimse.send_msg(request, association.accepted_contexts[0].context_id)
    _, response = association.dimse.get_msg(block=True)
    association.release()
    return int(response.Status)


def test_an_image_is_kept_byte_for_byte_with_both_ae_titles(node: Node, tmp_path: Path) -> None:
    source = TinyCT(slices=1).write(tmp_path / "ct")[0]
    dicom.store([source], node.address, "SCANNER")
    (kept,) = node.spool.waiting()
    raw, original = kept.read_bytes(), source.read_bytes()
    assert raw[raw.index(b"\x08\x00\x05\x00" if b"\x08\x00\x05\x00" in raw else b"\x08\x00\x08\x00") :] in original
    meta = dcmread(kept, stop_before_pixels=True).file_meta
    assert (meta.SendingApplicationEntityTitle, meta.ReceivingApplicationEntityTitle) == ("SCANNER", "SCLEROSCAN")


def test_dcmtk_sends_a_series_and_every_image_is_accepted(node: Node, tmp_path: Path) -> None:
    TinyCT().write(tmp_path / "ct")
    command = [services.program("storescu"), "-aec", "SCLEROSCAN", "+sd", "127.0.0.1", str(node.address.port)]
    subprocess.run([*command, str(tmp_path / "ct")], check=True, env=os.environ | {"TCP_NODELAY": "1"})
    assert len(list(node.spool.waiting())) == 12


def test_c_echo_is_answered(node: Node) -> None:
    dicom.echo(node.address, "ANYONE")


def test_hard_case_11_a_compressed_image_keeps_its_syntax(node: Node, tmp_path: Path) -> None:
    source = TinyCT(slices=1).write(tmp_path / "ct")[0]
    dataset = dcmread(source)
    dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.save_as(source)
    dicom.store([source], node.address, "SCANNER")
    (kept,) = node.spool.waiting()
    assert dcmread(kept).file_meta.TransferSyntaxUID == RLELossless
    assert (dcmread(kept).pixel_array == dcmread(source).pixel_array).all()


def test_a_class_that_is_no_ct_gets_no_presentation_context(node: Node, tmp_path: Path) -> None:
    source = TinyCT(slices=1, changes={"SOPClassUID": MRImageStorage}).write(tmp_path / "mr")[0]
    dataset = dcmread(source)
    dataset.file_meta.MediaStorageSOPClassUID = MRImageStorage
    dataset.save_as(source)
    with pytest.raises(PeerRefused) as refused:
        dicom.store([source], node.address, "SCANNER")
    assert refused.value.code == "no_presentation_context"
    assert list(node.spool.waiting()) == []


def test_hard_case_10_uids_other_than_the_requests_are_refused(node: Node, tmp_path: Path) -> None:
    source = TinyCT(slices=1).write(tmp_path / "ct")[0]
    assert answer(node, source, sop_uid="1.2.3.4") == 0xC000
    assert list(node.spool.waiting()) == []
    assert answer(node, source) == 0x0000


def test_hard_case_34_below_the_watermark_is_out_of_resources(tmp_path: Path) -> None:
    full = Node(tmp_path, min_free_mb=10**12)
    source = TinyCT(slices=1).write(tmp_path / "ct")[0]
    with full.listener, pytest.raises(PeerUnreachable) as refused:
        dicom.store([source], full.address, "SCANNER")
    assert refused.value.detail["status"] == 0xA700


def test_hard_case_04_a_new_process_registers_what_was_kept(
    node: Node, tmp_path: Path, sessions: sessionmaker[Session]
) -> None:
    dicom.store(TinyCT().write(tmp_path / "ct"), node.address, "SCANNER")
    restarted = Spool(node.spool.root)
    restarted.prepare()
    assert Registrar(restarted, sessions).run(NOW) == 12
    with sessions.begin() as session:
        rows = session.query(Instance).all()
        assert {(r.calling_ae, r.receiving_ae) for r in rows} == {("SCANNER", "SCLEROSCAN")}
        assert all(Path(r.path).is_file() for r in rows)


def test_hard_case_04_a_crash_between_commit_and_move_is_healed(
    node: Node, tmp_path: Path, sessions: sessionmaker[Session]
) -> None:
    dicom.store(TinyCT(slices=2).write(tmp_path / "ct"), node.address, "SCANNER")
    registrar = Registrar(node.spool, sessions)
    registrar.run(NOW)
    with sessions.begin() as session:
        moved = Path(session.query(Instance).first().path)
    moved.rename(node.spool.new / moved.name)
    registrar.run(NOW)
    assert moved.is_file()
    with sessions.begin() as session:
        assert session.query(Instance).count() == 2


def test_an_unreadable_spooled_file_is_set_aside_not_lost(
    node: Node, tmp_path: Path, sessions: sessionmaker[Session]
) -> None:
    (node.spool.new / "1.2.3-0123456789abcdef.dcm").write_bytes(b"not DICOM at all")
    dicom.store(TinyCT(slices=1).write(tmp_path / "ct"), node.address, "SCANNER")
    Registrar(node.spool, sessions).run(NOW)
    assert [path.name for path in (node.spool.root / "refused").iterdir()] == ["1.2.3-0123456789abcdef.no_part10.dcm"]
    with sessions.begin() as session:
        assert session.query(Instance).count() == 1


def test_a_whole_series_becomes_one_job_and_one_message(
    node: Node, tmp_path: Path, sessions: sessionmaker[Session]
) -> None:
    paths = TinyCT().write(tmp_path / "ct")
    dicom.store(paths, node.address, "SCANNER")
    scheduler = node.scheduler(sessions)
    services.wait_until(lambda: dcmread(paths[0]).SeriesInstanceUID not in node.receiver.open_series)
    scheduler.tick(datetime.now(UTC))
    with sessions.begin() as session:
        assert audit.status(session)[0].state == "receiving"
    for seconds in (6, 7):
        scheduler.tick(datetime.now(UTC) + timedelta(seconds=seconds))
    with sessions.begin() as session:
        (row,) = audit.status(session)
        assert (row.state, row.series_state, row.instances) == ("queued", "complete", 12)


def test_hard_case_02_two_interleaved_series_are_two_jobs(
    node: Node, tmp_path: Path, sessions: sessionmaker[Session]
) -> None:
    first, second = (TinyCT(series=name).write(tmp_path / name) for name in ("1", "2"))
    dicom.store([path for pair in zip(first, second, strict=True) for path in pair], node.address, "SCANNER")
    services.wait_until(lambda: dcmread(first[0]).SeriesInstanceUID not in node.receiver.open_series)
    node.scheduler(sessions).tick(datetime.now(UTC))
    node.scheduler(sessions).tick(datetime.now(UTC) + timedelta(seconds=6))
    with sessions.begin() as session:
        assert [row.state for row in audit.status(session)] == ["queued", "queued"]


def test_hard_case_01_an_open_association_holds_its_series_back(
    node: Node, tmp_path: Path, sessions: sessionmaker[Session]
) -> None:
    paths = TinyCT().write(tmp_path / "ct")
    entity = AE("SCANNER")
    entity.add_requested_context(dcmread(paths[0]).SOPClassUID, ExplicitVRLittleEndian)
    association = entity.associate("127.0.0.1", node.address.port, evt_handlers=[KEPT_FOR_WHO_ASKED])
    for path in paths:
        association.send_c_store(path)
    scheduler = node.scheduler(sessions)
    scheduler.tick(datetime.now(UTC))
    scheduler.tick(datetime.now(UTC) + timedelta(seconds=60))
    with sessions.begin() as session:
        assert audit.status(session)[0].state == "receiving"
    association.release()
    services.wait_until(lambda: dcmread(paths[0]).SeriesInstanceUID not in node.receiver.open_series)
    scheduler.tick(datetime.now(UTC) + timedelta(seconds=60))
    with sessions.begin() as session:
        assert audit.status(session)[0].state == "queued"


def test_hard_case_07_without_a_broker_a_job_waits_in_its_row(
    node: Node, tmp_path: Path, sessions: sessionmaker[Session]
) -> None:
    dicom.store(TinyCT().write(tmp_path / "ct"), node.address, "SCANNER")
    services.wait_until(lambda: TinyCT().datasets()[0].SeriesInstanceUID not in node.receiver.open_series)
    scheduler = node.scheduler(sessions, f"redis://127.0.0.1:{services.free_port()}/0")
    for seconds in (0, 6):
        scheduler.tick(datetime.now(UTC) + timedelta(seconds=seconds))
    with sessions.begin() as session:
        assert audit.status(session)[0].state == "queued"


def test_a_missing_slice_breaks_the_series_and_still_opens_a_job(
    node: Node, tmp_path: Path, sessions: sessionmaker[Session]
) -> None:
    paths = TinyCT().write(tmp_path / "ct")
    dicom.store(paths[:5] + paths[6:], node.address, "SCANNER")
    services.wait_until(lambda: dcmread(paths[0]).SeriesInstanceUID not in node.receiver.open_series)
    scheduler = node.scheduler(sessions)
    scheduler.tick(datetime.now(UTC))
    scheduler.tick(datetime.now(UTC) + timedelta(seconds=6))
    with sessions.begin() as session:
        assert audit.status(session)[0].state == "receiving"
    scheduler.tick(datetime.now(UTC) + timedelta(seconds=21))
    with sessions.begin() as session:
        (row,) = audit.status(session)
        assert (row.series_state, row.state) == ("incomplete", "queued")


def test_hard_case_10_a_data_set_without_its_series_is_refused(node: Node, tmp_path: Path) -> None:
    source = TinyCT(slices=1).write(tmp_path / "ct")[0]
    whole = dcmread(source)
    del whole.SeriesInstanceUID
    whole.save_as(source)
    assert answer(node, source) == 0xC000
