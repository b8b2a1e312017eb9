"""Peers that cannot be reached, do not answer or refuse: every way has its code, and says whether it may pass."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
from pynetdicom import AE, evt

from db.address import ApplicationEntity
from tests.integration.dicom_node.test_calls_by_tls import issued
from tests.support import services
from worker.delivery import association, dicom
from worker.errors import DeliveryFailed
from worker.results import files


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP server that serves one connection after another in its own way."""
    with socket.create_server(("127.0.0.1", 0)) as door:

        def accept() -> None:
            while True:
                try:
                    serve(door.accept()[0])
                except OSError:
                    if door.fileno() < 0:
                        return

        threading.Thread(target=accept, daemon=True).start()
        yield int(door.getsockname()[1])
        door.shutdown(socket.SHUT_RDWR)


def failure_of(path: Path, peer: ApplicationEntity) -> tuple[str, bool]:
    with pytest.raises(DeliveryFailed) as failed:
        dicom.store([path], peer, "SCLEROSCAN")
    return failed.value.code, failed.value.retry


def at(port: int, host: str = "127.0.0.1") -> ApplicationEntity:
    return ApplicationEntity("PACS", host, port)


def test_nobody_listening_is_told_from_a_name_unknown(objects: list[files.WrittenFile]) -> None:
    assert failure_of(objects[0].path, at(services.free_port())) == ("connection_refused", True)
    assert failure_of(objects[0].path, at(104, "no-such-host.invalid")) == ("name_unknown", True)


def test_who_hangs_up_or_is_silent_may_pass(objects: list[files.WrittenFile], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(association, "CONNECT_TIMEOUT_S", 1)
    kept: list[socket.socket] = []
    with listening(lambda connection: connection.close()) as port:
        assert failure_of(objects[0].path, at(port)) == ("no_answer", True)
    with listening(kept.append) as port:
        assert failure_of(objects[0].path, at(port)) == ("no_answer", True)
    for connection in kept:
        connection.close()


def test_tls_that_fails_is_named_and_may_pass(tmp_path: Path, objects: list[files.WrittenFile]) -> None:
    theirs, ours = trustme.CA(), issued(tmp_path / "own", trustme.CA())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.issue_cert("127.0.0.1").configure_cert(context)
    with listening(lambda connection: context.wrap_socket(connection, server_side=True).close()) as port:
        peer = ApplicationEntity("PACS", "127.0.0.1", port, secure=True).called_with(ours)
        assert failure_of(objects[0].path, peer) == ("tls_failed", True)
    ours.key.unlink()
    assert failure_of(objects[0].path, peer) == ("tls_files", True)


@pytest.mark.parametrize(
    ("how", "expected"), [((2, 3, 1), ("rejected_for_now", True)), ((1, 1, 3), ("association_rejected", False))]
)
def test_hard_case_29_a_rejection_is_final_or_of_the_moment(
    objects: list[files.WrittenFile], how: tuple[int, int, int], expected: tuple[str, bool]
) -> None:
    def reject(event: evt.Event) -> None:
        event.assoc.acse.send_reject(*how)
        event.assoc.kill()

    entity = AE("PACS")
    entity.add_supported_context("1.2.840.10008.1.1")
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_REQUESTED, reject)])
    try:
        assert failure_of(objects[0].path, at(int(server.server_address[1]))) == expected
    finally:
        server.shutdown()


def test_hard_case_29_a_peer_that_stops_reading_holds_nobody(
    tmp_path: Path, objects: list[files.WrittenFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(association, "NETWORK_TIMEOUT_S", 1)
    monkeypatch.setattr(association, "ANSWER_TIMEOUT_S", 3)
    large = tmp_path / "large.dcm"
    large.write_bytes(objects[0].path.read_bytes() + b"\x09\x00\x01\x10OB\x00\x00" + (1 << 25).to_bytes(4, "little"))
    with large.open("ab") as file:
        file.write(bytes(1 << 25))
    stalled = threading.Event()
    entity = AE("PACS")
    entity.add_supported_context("1.2.840.10008.5.1.4.1.1.66.4")
    handlers = [(evt.EVT_DATA_RECV, lambda event: event.data[0] == 4 and stalled.wait(60))]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    result: list[tuple[str, bool]] = []
    sender = threading.Thread(target=lambda: result.append(failure_of(large, at(int(server.server_address[1])))))
    try:
        sender.start()
        sender.join(20)
        assert result == [("broke_off", True)]
    finally:
        stalled.set()
        server.shutdown()
        sender.join()
