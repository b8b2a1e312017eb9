"""Hard cases of receiving that need the node as a whole, its servers, or a file system of their own."""

import itertools
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread

import psutil
import pytest
from pydicom import dcmread
from pydicom.uid import CTImageStorage, JPEGExtended12Bit
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, build_context, evt
from sqlalchemy import select

from db.engine import open_database
from db.tables import Job, JobInstance
from dicom_node.answers import KEPT_FOR_WHO_ASKED
from dicom_node.scp.handlers import CONGESTED, Receiver
from dicom_node.scp.listener import Address, Listener
from dicom_node.spool.folder import Spool
from dicom_node.spool.image import CT_CLASSES
from tests import chaos
from tests.support import node_senders, servers, services
from tests.support.node_senders import answer_to, association, ct_slice, encoded, send

OUT_OF_RESOURCES, SUCCESS = 0xA700, 0x0000
FAST = {"quiet_s": 1.0, "gap_wait_s": 2.0, "stalled_s": 30.0, "renotify_s": 2.0}


class Site(chaos.Site):
    """The node with its servers, and the questions that these tests ask."""

    def __init__(self, folder: Path, **settings: object) -> None:
        super().__init__(folder, FAST | settings)

    def jobs(self) -> list[int]:
        """Ids of the jobs that none supersedes, as often as images they hold."""
        sessions = open_database(self.db_url)
        with sessions.begin() as session:
            current = session.scalars(
                select(Job.id).join(JobInstance, JobInstance.job_id == Job.id).where(Job.state != "superseded")
            ).all()
        sessions.kw["bind"].dispose()
        return list(current)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the account of Postgres can walk through, as it cannot through pytest's."""
    with tempfile.TemporaryDirectory(prefix="scleroscan-site-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def site(folder: Path) -> Iterator[Site]:
    running = Site(folder)
    yield running
    running.stop()


def test_hard_case_01_a_pause_beyond_quiet_time_makes_one_job(site: Site, tmp_path: Path) -> None:
    images = [ct_slice(number) for number in range(6)]
    with association(site.settings.port) as opened:
        for ds in images[:3]:
            assert send(opened, encoded(ds), ds.SOPInstanceUID) == SUCCESS
        # Another series, sent later, is over its quiet time first: so the one at hand was judged, and kept open.
        node_senders.write(tmp_path / "later", [ct_slice(number, series=2) for number in range(4)])
        node_senders.storescu_succeeds(site.settings.port, tmp_path / "later")
        services.wait_until(lambda: len(site.jobs()) >= 4, 60, "the job of the other series")
        assert len(site.jobs()) == 4
        for ds in images[3:]:
            assert send(opened, encoded(ds), ds.SOPInstanceUID) == SUCCESS
    services.wait_until(lambda: len(site.jobs()) == 10, 60, "the job")
    assert len(set(site.jobs())) == 2


def test_hard_case_02_four_parallel_associations_make_one_job(site: Site, tmp_path: Path) -> None:
    images = [ct_slice(number, side=64) for number in range(40)]
    for quarter in range(4):
        node_senders.write(tmp_path / str(quarter), images[quarter::4])
    with ThreadPoolExecutor(4) as senders:
        list(senders.map(lambda q: node_senders.storescu_succeeds(site.settings.port, tmp_path / str(q)), range(4)))
    services.wait_until(lambda: len(site.jobs()) == 40, 60, "the job")
    assert len(set(site.jobs())) == 1


def test_hard_case_03_late_slices_make_one_job_without_doubles(site: Site, tmp_path: Path) -> None:
    images = [ct_slice(number) for number in range(12)]
    node_senders.write(tmp_path / "first", images[:7])
    node_senders.write(tmp_path / "late", images[5:])
    node_senders.storescu_succeeds(site.settings.port, tmp_path / "first")
    services.wait_until(lambda: len(site.jobs()) == 7, 60, "the first job")
    node_senders.storescu_succeeds(site.settings.port, tmp_path / "late")
    services.wait_until(lambda: len(site.jobs()) == 12, 60, "the second job")
    assert len(set(site.jobs())) == 1


def test_hard_case_04_no_kill_loses_doubles_or_blocks_an_image(folder: Path) -> None:
    trial = chaos.Chaos(folder, seed=4)
    try:
        figures = trial.run(rounds=5)
    finally:
        trial.site.stop()
    assert figures.answered == 5 * chaos.SENDERS * chaos.SLICES
    assert (figures.lost, figures.doubled, figures.stuck) == ([], [], [])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only an account that may mount can make a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


class Node:
    """A listener over a spool, without a scheduler."""

    def __init__(self, spool: Spool, max_associations: int = 32, **limits: float) -> None:
        spool.prepare()
        self.spool = spool
        self.receiver = Receiver(spool, max_associations)
        address = Address("SCLEROSCAN", "127.0.0.1", 0, **limits)  # type: ignore[arg-type]
        self.listener = Listener(address, self.receiver.handlers(), CT_CLASSES)
        self.port = self.listener.port


def test_hard_case_06_a_full_disk_refuses_until_there_is_room(
    small_disk: Path,
) -> None:
    node = Node(Spool(small_disk / "spool"))
    images = [ct_slice(number, side=512) for number in range(12)]
    with node.listener, association(node.port) as opened:
        answers = [send(opened, encoded(ds), ds.SOPInstanceUID) for ds in images]
        assert set(answers) == {SUCCESS, OUT_OF_RESOURCES}
        assert len(node.spool.waiting()) == answers.count(SUCCESS)
        assert list((node.spool.root / "incoming").iterdir()) == []
        for path in node.spool.waiting():
            assert encoded(dcmread(path)) in map(encoded, images)
            path.unlink()
        assert send(opened, encoded(images[-1]), images[-1].SOPInstanceUID) == SUCCESS


def test_hard_case_06_a_read_only_spool_rejects_associations(
    small_disk: Path,
) -> None:
    node = Node(Spool(small_disk / "spool"))
    ds = ct_slice(0)
    with node.listener:
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        refused = AE("SCANNER").associate("127.0.0.1", node.port, contexts=CONTEXTS)
        assert (refused.is_rejected, refused.acceptor.primitive.diagnostic) == (True, CONGESTED[2])
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
        with association(node.port) as opened:
            assert send(opened, encoded(ds), ds.SOPInstanceUID) == SUCCESS


def test_hard_case_06_a_failed_sync_is_out_of_resources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    node = Node(Spool(tmp_path / "spool"))
    ds = ct_slice(0)
    with node.listener, association(node.port) as opened:
        with monkeypatch.context() as failing:
            failing.setattr(os, "fsync", broken)
            assert send(opened, encoded(ds), ds.SOPInstanceUID) == OUT_OF_RESOURCES
        assert node.spool.waiting() == []
        assert list((node.spool.root / "incoming").iterdir()) == []
        assert send(opened, encoded(ds), ds.SOPInstanceUID) == SUCCESS


def test_hard_case_07_images_taken_in_an_outage_are_queued_later(site: Site, tmp_path: Path) -> None:
    site.database.kill()
    site.broker.kill()
    images = [ct_slice(number) for number in range(10)]
    node_senders.write(tmp_path / "ct", images)
    node_senders.storescu_succeeds(site.settings.port, tmp_path / "ct")
    assert len(list((site.spool / "new").iterdir())) == 10
    site.start()
    services.wait_until(lambda: len(site.jobs()) == 10, 60, "the job")
    services.wait_until(lambda: [site.jobs()[0]] in servers.wake_ups(site.broker_url), 60, "the message")


def test_hard_case_28_a_mid_transaction_restart_costs_nothing(site: Site, tmp_path: Path) -> None:
    node_senders.write(tmp_path / "ct", [ct_slice(number) for number in range(150)])
    sender = node_senders.storescu(site.settings.port, tmp_path / "ct")
    for _ in range(3):
        time.sleep(0.2)
        site.database.kill()
        site.database.start()
    said, _ = sender.communicate(timeout=120)
    assert sender.returncode == 0, said
    services.wait_until(lambda: len(site.jobs()) == 150, 120, "the job")
    assert len(set(site.jobs())) == 1


def test_hard_case_08_the_limit_holds_over_all_processes(folder: Path) -> None:
    site = Site(folder, max_associations=3, receivers=3)
    try:
        where = "127.0.0.1", site.settings.port, CONTEXTS, site.settings.ae_title
        held = [AE("SCANNER").associate(*where) for _ in range(5)]
        assert sorted(bool(one.is_established) for one in held) == [False, False, True, True, True]
        for one in held:
            if one.is_established:
                one.release()
        with association(site.settings.port):
            pass
    finally:
        site.stop()


CONTEXTS = [build_context(CTImageStorage)]


def test_hard_case_08_an_idle_sender_goes_on_until_the_timeout(
    tmp_path: Path,
) -> None:
    node = Node(Spool(tmp_path / "spool"), max_associations=1, network_timeout_s=8)
    first, second = ct_slice(0), ct_slice(1)
    with node.listener:
        with association(node.port) as opened:
            assert send(opened, encoded(first), first.SOPInstanceUID) == SUCCESS
            time.sleep(2)
            assert send(opened, encoded(second), second.SOPInstanceUID) == SUCCESS
            services.wait_until(lambda: not opened.is_established, 30, "the abort")
        with association(node.port) as opened:
            assert send(opened, encoded(first), first.SOPInstanceUID) == SUCCESS


def test_hard_case_08_a_peer_stalled_in_a_pdu_frees_its_slot(tmp_path: Path) -> None:
    node = Node(Spool(tmp_path / "spool"), max_associations=1, network_timeout_s=2)
    ds = ct_slice(0)
    with node.listener:
        with association(node.port) as opened:
            # A P-DATA-TF of 1000 bytes that ends after 100, and a connection that stays open.
            opened.dul.socket.socket.sendall(b"\x04\x00" + (1000).to_bytes(4, "big") + b"\0\0\3\xe2\1\1" + b"\0" * 94)
            services.wait_until(lambda: not opened.is_established, 30, "the end of the association")
        with association(node.port) as opened:
            assert send(opened, encoded(ds), ds.SOPInstanceUID) == SUCCESS


def test_hard_case_08_a_failed_association_frees_its_slot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise RuntimeError("nobody thought of this")

    node = Node(Spool(tmp_path / "spool"), max_associations=1)
    ds = ct_slice(0)
    with node.listener:
        with monkeypatch.context() as bent, association(node.port) as opened:
            bent.setattr(node.spool, "begin", failing)
            with pytest.raises(AssertionError, match="broke the association off"):
                send(opened, encoded(ds), ds.SOPInstanceUID)
        with association(node.port) as opened:
            assert send(opened, encoded(ds), ds.SOPInstanceUID) == SUCCESS


@pytest.mark.parametrize("pdu_bytes", [0, 4096, 16_777_216])
def test_hard_case_08_images_come_whole_at_any_pdu_size(tmp_path: Path, pdu_bytes: int) -> None:
    node = Node(Spool(tmp_path / "spool"), max_pdu_bytes=pdu_bytes)
    ds = ct_slice(0, side=1024)
    with node.listener, association(node.port) as opened:
        assert send(opened, encoded(ds), ds.SOPInstanceUID) == SUCCESS
    assert node.spool.waiting()[0].read_bytes().endswith(encoded(ds))


def test_hard_case_10_a_malformed_pdu_ends_only_its_association(tmp_path: Path) -> None:
    node = Node(Spool(tmp_path / "spool"))
    fragment_longer_than_its_pdu = b"\x04\x00\0\0\0\x0a" + b"\0\0\xff\xff\1\0" + b"\0" * 4
    gigabytes_of_release = b"\x05\x00\xff\xff\xff\xff"
    with node.listener:
        for nonsense in (fragment_longer_than_its_pdu, gigabytes_of_release, b"GET / HTTP/1.1\r\n\r\n"):
            with association(node.port) as opened:
                opened.dul.socket.socket.sendall(nonsense)
                services.wait_until(lambda one=opened: not one.is_established, 30, "the abort")
        with association(node.port) as opened:
            assert send(opened, encoded(ct_slice(0)), ct_slice(0).SOPInstanceUID) == SUCCESS


def test_hard_case_10_images_of_no_or_one_byte_are_refused(tmp_path: Path) -> None:
    node = Node(Spool(tmp_path / "spool"))
    # A P-DATA-TF with the last fragment of a data set, empty, on the first presentation context.
    nothing = b"\x04\0\0\0\0\x06" + b"\0\0\0\x02\x01\x02"
    with node.listener, association(node.port) as opened:

        def follow(_: evt.Event) -> None:
            opened.unbind(evt.EVT_DATA_SENT, follow)
            opened.dul.socket.socket.sendall(nothing)

        # As soon as the command is out, however long that takes.
        opened.bind(evt.EVT_DATA_SENT, follow)
        assert send(opened, b"", "1.2.3") == 0xC000
        assert send(opened, b"\0", "1.2.3") == 0xC000
    assert node.spool.waiting() == []


def test_hard_case_11_every_syntax_is_kept_and_decodes_equal(tmp_path: Path, real_data: Path) -> None:
    node = Node(Spool(tmp_path / "spool"))
    # Two of the folder's are retired, and no peer of today offers them.
    folder = real_data / "odd-dicom" / "transfer-syntaxes"
    sources = [path for path in sorted(folder.glob("*.dcm")) if transfer_syntax(path) in ALL_TRANSFER_SYNTAXES]
    with node.listener:
        for source in sources:
            ds, opened = dcmread(source), AE("SCANNER")
            opened.add_requested_context(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID)
            raw = source.read_bytes()
            sending = opened.associate("127.0.0.1", node.port, evt_handlers=[KEPT_FOR_WHO_ASKED])
            start = 144 + int.from_bytes(raw[140:144], "little")
            assert send(sending, raw[start:], ds.SOPInstanceUID) == SUCCESS, source.name
            sending.release()
            (kept,) = node.spool.waiting()
            assert kept.read_bytes().endswith(raw[start:])
            assert dcmread(kept).file_meta.TransferSyntaxUID == ds.file_meta.TransferSyntaxUID
            # Equal bytes decode equally; of 12-bit JPEG that is all that can be said, for no library here decodes it.
            if ds.file_meta.TransferSyntaxUID != JPEGExtended12Bit:
                assert (dcmread(kept).pixel_array == ds.pixel_array).all()
            kept.unlink()
    assert len(set(map(transfer_syntax, sources))) == 13


def transfer_syntax(path: Path) -> str:
    return str(dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID)


def test_hard_case_34_little_space_turns_only_new_senders_away(
    small_disk: Path,
) -> None:
    node = Node(Spool(small_disk / "spool", min_free_mb=1, low_free_mb=3))
    with node.listener, association(node.port) as opened:
        answers = []
        for number in range(12):
            ds = ct_slice(number, side=512)
            answers.append(send(opened, encoded(ds), ds.SOPInstanceUID))
        refused = AE("SCANNER").associate("127.0.0.1", node.port, contexts=CONTEXTS)
        assert (refused.is_rejected, refused.acceptor.primitive.diagnostic) == (True, CONGESTED[2])
        assert answers == [SUCCESS] * answers.count(SUCCESS) + [OUT_OF_RESOURCES] * answers.count(OUT_OF_RESOURCES)
        assert 2 < answers.count(SUCCESS) < 7


def test_hard_case_34_sigterm_answers_the_image_at_hand_and_ends(site: Site) -> None:
    accepted: set[str] = set()
    sender = Thread(target=send_for_ever, args=(site.settings.port, accepted))
    with association(site.settings.port):
        sender.start()
        services.wait_until(lambda: len(accepted) > 20, 60, "20 images")
        assert site.listener.stop(signal.SIGTERM) < 20
    sender.join(60)
    on_disk = {path.name.split("-")[0] for path in site.spool.rglob("*.dcm")}
    assert accepted == on_disk
    assert list((site.spool / "incoming").iterdir()) == []
    site.listener.start()


def send_for_ever(port: int, accepted: set[str]) -> None:
    """Send one image after the other until the association is ended by the node; note those that were accepted."""
    with association(port) as opened:
        for number in itertools.count():
            ds = ct_slice(number, side=64)
            if answer_to(opened, encoded(ds), ds.SOPInstanceUID) != SUCCESS:
                return
            accepted.add(ds.SOPInstanceUID)


def test_when_the_first_process_dies_all_do_and_the_port_is_free(site: Site) -> None:
    assert site.listener.process is not None
    family = psutil.Process(site.listener.process.pid).children(recursive=True)
    site.listener.process.kill()
    site.listener.process.wait()
    services.wait_until(lambda: not any(map(psutil.Process.is_running, family)), 30, "the end of all processes")
    with socket.create_server(("127.0.0.1", site.settings.port)):
        pass
    site.listener.start()


def test_a_receiver_that_dies_is_replaced(site: Site) -> None:
    before = site.listener.children()
    os.kill(before[0], signal.SIGKILL)
    services.wait_until(lambda: len(set(site.listener.children()) - set(before)) == 1, 30, "another process")
    with association(site.settings.port) as opened:
        assert send(opened, encoded(ct_slice(0)), ct_slice(0).SOPInstanceUID) == SUCCESS
