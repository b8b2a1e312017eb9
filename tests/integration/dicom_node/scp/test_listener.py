"""The listener on real sockets: what a sender is told is what lies on the disk."""

import logging
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    CTImageStorage,
    MRImageStorage,
    SegmentationStorage,
)
from pynetdicom import AE, build_context, evt
from pynetdicom.pdu_primitives import A_RELEASE
from sqlalchemy import select

from db.engine import open_database
from db.tables import Instance
from dicom_node.scp.archive import Archive
from dicom_node.scp.handlers import Receiver
from dicom_node.scp.listener import LOCAL_LIMIT_EXCEEDED, Address, Listener
from dicom_node.spool.folder import Spool
from dicom_node.spool.image import CT_CLASSES
from tests.support import node_senders, servers, services
from tests.support.hostile import BEFORE_UIDS, BEHIND_UIDS, nested
from tests.support.node_senders import association, ct_slice, encoded, send, series_uid

WRONG_CLASS, CANNOT_UNDERSTAND, OUT_OF_RESOURCES, SUCCESS = 0xA900, 0xC000, 0xA700, 0x0000
# pydicom warns of such a UID; in tests that would be an error, and the node's own check would never be reached.
IGNORE_PYDICOM = pytest.mark.filterwarnings("ignore:Invalid value for VR UI")


class Node:
    """A listener over a spool, without a scheduler."""

    def __init__(self, folder: Path, limits: Address | None = None) -> None:
        self.spool = Spool(folder / "spool")
        self.spool.prepare()
        self.receiver = Receiver(self.spool)
        address = limits or Address("SCLEROSCAN", "127.0.0.1", 0)
        self.listener = Listener(address, self.receiver.handlers(), CT_CLASSES)
        self.port = self.listener.port


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    one = Node(tmp_path)
    with one.listener:
        yield one


def kept(node: Node) -> list[bytes]:
    """The data sets in the spool, without what the node put before them."""
    contents = [path.read_bytes() for path in node.spool.waiting()]
    return sorted(raw[144 + int.from_bytes(raw[140:144], "little") :] for raw in contents)


def left_behind(node: Node) -> list[Path]:
    """Whatever lies in the spool of an image, whole or in part."""
    counts = (node.spool.root / "refusals").glob("*")
    own = {node.spool.root / "epoch", *node.spool.associations.iterdir(), *counts}
    return [path for path in node.spool.root.rglob("*") if path.is_file() and path not in own]


def send_one(node: Node, ds: Dataset) -> int:
    with association(node.port) as opened:
        return send(opened, encoded(ds), ds.SOPInstanceUID)


def test_hard_case_02_interleaved_series_are_kept_byte_for_byte(node: Node, tmp_path: Path) -> None:
    images = [ct_slice(number, series) for number in range(10) for series in (1, 2)]
    node_senders.write(tmp_path / "ct", images)
    node_senders.storescu_succeeds(node.port, tmp_path / "ct")
    assert kept(node) == sorted(encoded(ds) for ds in images)


@pytest.mark.parametrize("option", ["-xi", "-xe", "-xb", "-xd"])
def test_hard_case_11_native_syntaxes_of_dcmtk_decode_equal(node: Node, tmp_path: Path, option: str) -> None:
    (source,) = node_senders.write(tmp_path / "ct", [ct_slice(3)])
    node_senders.storescu_succeeds(node.port, tmp_path / "ct", option)
    (path,) = node.spool.waiting()
    assert (dcmread(path).pixel_array == dcmread(source).pixel_array).all()


def test_an_image_over_the_context_of_another_class_is_refused(node: Node) -> None:
    ds = ct_slice(0)
    ds.SOPClassUID = MRImageStorage
    with association(node.port) as opened:
        assert send(opened, encoded(ds), ds.SOPInstanceUID, MRImageStorage) == WRONG_CLASS
    assert kept(node) == []


def test_a_data_set_of_another_class_than_its_request_is_refused(node: Node) -> None:
    ds = ct_slice(0)
    ds.SOPClassUID = MRImageStorage
    with association(node.port) as opened:
        assert send(opened, encoded(ds), ds.SOPInstanceUID, CTImageStorage) == WRONG_CLASS
    assert kept(node) == []


@IGNORE_PYDICOM
@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
@pytest.mark.parametrize("uid", ["../../outside", "/absolute", "", "1.2\\3.4", "1." * 32 + "1"])
def test_hard_case_10_an_invalid_uid_is_refused_without_a_file(node: Node, keyword: str, uid: str) -> None:
    ds = ct_slice(0)
    raw = encoded(ds).replace(*_swapped(ds, keyword, uid))
    with association(node.port) as opened:
        assert send(opened, raw, ds.SOPInstanceUID) == CANNOT_UNDERSTAND
    assert left_behind(node) == []


def _swapped(ds: Dataset, keyword: str, uid: str) -> tuple[bytes, bytes]:
    """One element in Explicit VR Little Endian as it is, and as it would be with bytes that are no UID."""
    element = ds[keyword]
    tag = element.tag.group.to_bytes(2, "little") + element.tag.element.to_bytes(2, "little") + b"UI"
    values = (str(element.value).encode(), uid.encode())
    padded = [value + b"\0" * (len(value) % 2) for value in values]
    before, after = (tag + len(value).to_bytes(2, "little") + value for value in padded)
    return before, after


def test_file_meta_elements_in_a_data_set_are_refused(node: Node) -> None:
    ds = ct_slice(0)
    forged = b"\x02\x00\x17\x00AE\x08\x00IMPOSTOR"
    with association(node.port) as opened:
        assert send(opened, forged + encoded(ds), ds.SOPInstanceUID) == CANNOT_UNDERSTAND
    assert kept(node) == []


def test_hard_case_10_a_cut_header_is_refused_and_the_next_taken(node: Node) -> None:
    ds = ct_slice(0)
    whole = encoded(ds)
    with association(node.port) as opened:
        for length in (2, 9, 40, whole.index(ds.SeriesInstanceUID.encode()) + 2):
            assert send(opened, whole[:length], ds.SOPInstanceUID) == CANNOT_UNDERSTAND
        assert send(opened, whole, ds.SOPInstanceUID) == SUCCESS
    assert kept(node) == [whole]


@pytest.mark.parametrize("where", [BEFORE_UIDS, BEHIND_UIDS], ids=["before the UIDs", "behind the UIDs"])
@pytest.mark.parametrize("filler", [0, 20_000], ids=["near", "far"])
def test_hard_case_10_a_nest_of_sequences_is_refused(node: Node, where: bytes, filler: int) -> None:
    ds = ct_slice(0)
    ds.LossyImageCompressionMethod = ["A" * 16] * (filler // 17)
    raw = nested(ds, tag=where)
    with association(node.port) as opened:
        assert send(opened, raw, ds.SOPInstanceUID) == CANNOT_UNDERSTAND
        assert send(opened, encoded(ds), ds.SOPInstanceUID) == SUCCESS
    assert kept(node) == [encoded(ds)]


def test_hard_case_03_a_repeat_is_taken_and_other_bytes_kept_too(node: Node) -> None:
    ds = ct_slice(0)
    assert [send_one(node, ds), send_one(node, ds)] == [SUCCESS, SUCCESS]
    assert len(set(kept(node))) == 1
    ds.SeriesDescription = "sent again, corrected"
    assert send_one(node, ds) == SUCCESS
    assert len(set(kept(node))) == 2


def test_hard_case_06_an_unwritable_spool_is_never_success(node: Node) -> None:
    incoming = node.spool.root / "incoming"
    incoming.rmdir()
    incoming.write_text("a file where the folder was")
    assert send_one(node, ct_slice(0)) == OUT_OF_RESOURCES
    incoming.unlink()
    incoming.mkdir()
    assert send_one(node, ct_slice(0)) == SUCCESS


def test_hard_case_06_a_short_write_is_refused_leaving_nothing(
    node: Node,
) -> None:
    with largest_file(16_384):
        assert send_one(node, ct_slice(0, side=256)) == OUT_OF_RESOURCES
    assert left_behind(node) == []
    assert send_one(node, ct_slice(0, side=256)) == SUCCESS


@contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    """Let this process write no larger file: the kernel then fails a write half-way, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_release_is_noted_before_it_is_answered(tmp_path: Path) -> None:
    spool, noted = Spool(tmp_path), []
    spool.prepare()
    receiver = Receiver(spool)

    def answered(event: evt.Event) -> None:
        if isinstance(event.primitive, A_RELEASE):
            noted.append((series_uid() in receiver.open_series, receiver.open_series.broke_off(series_uid())))

    handlers = [*receiver.handlers(), (evt.EVT_ACSE_SENT, answered)]
    with Listener(Address("SCLEROSCAN", "127.0.0.1", 0), handlers, CT_CLASSES) as listener:
        with association(listener.port) as opened:
            assert send(opened, encoded(ct_slice(0)), ct_slice(0).SOPInstanceUID) == SUCCESS
            assert series_uid() in receiver.open_series
        assert noted == [(False, False)]


def test_hard_case_05_a_cut_image_leaves_no_file_nor_open_series(node: Node, tmp_path: Path) -> None:
    with association(node.port) as opened:
        assert send(opened, encoded(ct_slice(0)), ct_slice(0).SOPInstanceUID) == SUCCESS
        assert series_uid() in node.receiver.open_series
        # A P-DATA-TF of 1000 bytes that ends after 100.
        connection = opened.dul.socket.socket
        connection.sendall(b"\x04\x00" + (1000).to_bytes(4, "big") + b"\0" * 100)
        # The node may have hung up first.
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        services.wait_until(lambda: series_uid() not in node.receiver.open_series, 10)
        opened.abort()
    assert len(kept(node)) == 1
    assert list((node.spool.root / "incoming").iterdir()) == []


def test_hard_case_05_connections_without_a_pdu_leave_no_trace(node: Node) -> None:
    before = threading.active_count()
    for _ in range(100):
        socket.create_connection(("127.0.0.1", node.port)).close()
    assert send_one(node, ct_slice(0)) == SUCCESS
    services.wait_until(lambda: threading.active_count() <= before, 8, "the end of every thread")


def test_hard_case_05_silent_open_connections_keep_no_sender_out(tmp_path: Path) -> None:
    # None is closed while the sender comes, however long that takes.
    node = Node(tmp_path, Address("SCLEROSCAN", "127.0.0.1", 0, request_timeout_s=600))
    with node.listener:
        silent = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(50)]
        assert send_one(node, ct_slice(0)) == SUCCESS
        for connection in silent:
            connection.close()


def test_a_caller_for_whom_no_thread_can_be_had_ends_nobody_else(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as exhausted:
        # No machine is to run out of threads for a test.
        exhausted.setattr("socketserver.ThreadingMixIn.process_request", out_of_threads)
        with socket.create_connection(("127.0.0.1", node.port), 10) as unlucky:
            unlucky.sendall(b"\x01")
            assert unlucky.recv(1) == b""
    assert send_one(node, ct_slice(0)) == SUCCESS


def out_of_threads(*_: object) -> None:
    raise RuntimeError("can't start new thread")


def test_hard_case_08_one_association_too_many_is_rejected(tmp_path: Path) -> None:
    node = Node(tmp_path, Address("SCLEROSCAN", "127.0.0.1", 0, max_associations=1))
    with node.listener:
        with association(node.port):
            refused = AE("SCANNER").associate("127.0.0.1", node.port, contexts=[build_context(CTImageStorage)])
            assert refused.is_rejected
            assert refused.acceptor.primitive.diagnostic == LOCAL_LIMIT_EXCEEDED[2]
        services.wait_until(lambda: associates(node.port), 10, "a free place")


def associates(port: int) -> bool:
    opened = AE("SCANNER").associate("127.0.0.1", port, contexts=[build_context(CTImageStorage)])
    established = bool(opened.is_established)
    if established:
        opened.release()
    return established


@pytest.mark.parametrize("pdu_bytes", ["4096", "131072"])
def test_hard_case_08_small_and_large_pdus_carry_the_same_bytes(node: Node, tmp_path: Path, pdu_bytes: str) -> None:
    images = [ct_slice(number, side=128) for number in range(3)]
    node_senders.write(tmp_path / "ct", images)
    node_senders.storescu_succeeds(node.port, tmp_path / "ct", "--max-send-pdu", pdu_bytes)
    assert kept(node) == sorted(encoded(ds) for ds in images)


def test_hard_case_33_a_refusal_logs_nothing_of_a_patient(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ds = ct_slice(0)
    whole = encoded(ds)
    with association(node.port) as opened:
        for raw in (whole, whole[:300], whole.replace(b"UI", b"PN")):
            send(opened, raw, ds.SOPInstanceUID)
        send(opened, whole, "1.2.3")
    assert "image refused" in caplog.text
    assert "CANARY" not in caplog.text + repr([vars(record) for record in caplog.records])


def test_hard_case_04_acknowledged_images_register_after_a_kill(tmp_path: Path, database_url: str) -> None:
    images = [ct_slice(number, side=64) for number in range(150)]
    node_senders.write(tmp_path / "ct", images)
    spool = tmp_path / "spool"
    settings = servers.node_settings(tmp_path)
    server, scheduler = (
        servers.listener(tmp_path, settings),
        servers.scheduler(tmp_path, settings, database_url, "memory://"),
    )
    server.start()
    scheduler.start()
    sender = node_senders.storescu(settings.port, tmp_path / "ct", "-v")
    services.wait_until(lambda: len(durable(spool)) >= 40, what="40 images in the spool")
    server.kill()
    said, _ = sender.communicate(timeout=60)
    acknowledged = {images[number].SOPInstanceUID for number in node_senders.acknowledged_numbers(said)}
    assert 0 < len(acknowledged) < len(images)
    assert acknowledged <= durable(spool)
    server.start()
    services.wait_until(lambda: not list((spool / "new").iterdir()), what="an empty queue")
    server.stop()
    scheduler.stop()
    assert registered(database_url) == durable(spool)


def durable(spool: Path) -> set[str]:
    """SOP Instance UIDs in the spool, registered or not."""
    return {path.name.split("-")[0] for folder in ("new", "series") for path in (spool / folder).rglob("*.dcm")}


def registered(database_url: str) -> set[str]:
    """SOP Instance UIDs that have a row, and whose row names a file."""
    sessions = open_database(database_url)
    with sessions.begin() as session:
        rows = session.execute(select(Instance.sop_uid, Instance.path)).all()
    sessions.kw["bind"].dispose()
    return {sop_uid for sop_uid, path in rows if Path(path).is_file()}


@IGNORE_PYDICOM
def test_the_archive_keeps_each_instance_once_and_refuses_paths(tmp_path: Path) -> None:
    with Archive(tmp_path / "archive") as archive:
        for sop_class in (SegmentationStorage, ComprehensiveSRStorage, Comprehensive3DSRStorage):
            ds = ct_slice(0)
            ds.SOPClassUID, ds.SOPInstanceUID = sop_class, f"1.2.3{sop_class[-3:]}"
            with association(archive.port, (sop_class,)) as opened:
                for _ in range(2):
                    assert send(opened, encoded(ds), ds.SOPInstanceUID, sop_class) == SUCCESS
                bent = encoded(ds).replace(*_swapped(ds, "SeriesInstanceUID", "../../outside"))
                assert send(opened, bent, ds.SOPInstanceUID, sop_class) == CANNOT_UNDERSTAND
        assert len(list(archive.instances())) == 3
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".dcm"}
