"""Peers that the protocol allows in, and that then send what no honest one does: each is cut off, and alone."""

import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from pydicom.uid import CTImageStorage
from pynetdicom import AE, build_context, evt
from pynetdicom.association import Association

from dicom_node.scp.handlers import Receiver
from dicom_node.scp.listener import Address, Listener
from dicom_node.scp.other_messages import LONGEST_DATA_SET, MOST_WAITING
from dicom_node.spool.folder import Spool
from dicom_node.spool.image import CT_CLASSES
from dicom_node.spool.incoming import LOOK_EVERY
from dicom_node.spool.peers import Peers
from tests.support import malformed, services
from tests.support.node_senders import association, ct_slice, encoded, send

ABORT, SUCCESS = b"\x07", 0x0000
C_STORE, C_ECHO, N_ACTION = 0x0001, 0x0030, 0x0130
DATA, COMMAND, LAST = 0x00, 0x01, 0x02
OFFERED = 131_072
MEGABYTE = 1_048_576


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The port of a listener, which takes an image after each test."""
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    address = Address("SCLEROSCAN", "127.0.0.1", 0, max_pdu_bytes=OFFERED)
    with Listener(address, Receiver(spool).handlers(), CT_CLASSES) as listener:
        yield listener.port
        ds = ct_slice(0)
        with association(listener.port) as opened:
            assert send(opened, encoded(ds), ds.SOPInstanceUID) == SUCCESS
    assert list((spool.root / "incoming").iterdir()) == []


def is_aborted(peer: socket.socket) -> bool:
    """Whether the next that the node says is an abort."""
    return peer.recv(1) == ABORT


def test_data_that_follow_no_command_are_aborted(port: int) -> None:
    with malformed.associated(port) as peer:
        peer.sendall(malformed.fragment(DATA, b"x" * 1000))
        assert is_aborted(peer)


def test_data_after_a_request_that_has_none_are_aborted(port: int) -> None:
    with malformed.associated(port) as peer:
        peer.sendall(malformed.command(C_ECHO, has_data=False))
        assert peer.recv(1) == b"\x04", "the echo is answered"
        peer.recv(4096)
        peer.sendall(malformed.fragment(DATA, b"x" * 1000))
        assert is_aborted(peer)


def test_a_context_that_was_not_accepted_is_aborted(port: int) -> None:
    with malformed.associated(port) as peer:
        peer.sendall(malformed.fragment(COMMAND | LAST, malformed.command(C_STORE)[12:], context_id=3))
        assert is_aborted(peer)


def test_an_endless_request_that_is_no_store_is_cut_off(port: int) -> None:
    piece = malformed.fragment(DATA, bytes(OFFERED - 6))
    with malformed.associated(port) as peer:
        peer.sendall(malformed.command(N_ACTION))
        assert malformed.is_cut_off(peer, piece, 4 * LONGEST_DATA_SET // OFFERED)


def test_a_command_within_a_data_set_is_aborted(port: int) -> None:
    with malformed.associated(port) as peer:
        peer.sendall(malformed.command(N_ACTION) + malformed.fragment(DATA, b"x") + malformed.command(C_STORE))
        assert is_aborted(peer)


@pytest.mark.parametrize("request_field", [C_STORE, N_ACTION])
def test_a_pdu_larger_than_was_offered_is_aborted(port: int, request_field: int) -> None:
    with malformed.associated(port) as peer:
        peer.sendall(malformed.command(request_field))
        peer.sendall(malformed.fragment(DATA, bytes(OFFERED + 100))[:4096])
        assert is_aborted(peer)


def test_a_pdu_as_large_as_was_offered_is_taken(port: int) -> None:
    with malformed.associated(port) as peer:
        peer.sendall(malformed.command(C_STORE) + malformed.fragment(DATA | LAST, bytes(OFFERED)))
        assert peer.recv(1) == b"\x04", "the image is answered, though it is none"


def test_requests_that_nobody_can_answer_yet_are_bounded(tmp_path: Path) -> None:
    answering = Event()

    def slow(_event: evt.Event) -> int:
        answering.wait(60)
        return SUCCESS

    handlers = [(evt.EVT_C_ECHO, slow)]
    with Listener(Address("SCLEROSCAN", "127.0.0.1", 0), handlers, CT_CLASSES) as listener:
        with malformed.associated(listener.port) as peer:
            peer.sendall(malformed.command(C_ECHO, has_data=False) * (MOST_WAITING + 3))
            aborted = is_aborted(peer)
            answering.set()
        assert aborted


def listening(folder: Path, address: Address, min_free_mb: int = 0, **places: int) -> tuple[Spool, Listener]:
    """A spool and a listener on it, which does not accept connections yet."""
    spool = Spool(folder / "spool", min_free_mb)
    spool.prepare()
    return spool, Listener(address, Receiver(spool, **places).handlers(), CT_CLASSES)


def test_a_stop_before_a_request_hangs_up_without_a_word(tmp_path: Path) -> None:
    # As the listener does that stops just when somebody has called.
    stop = (evt.EVT_CONN_OPEN, lambda event: event.assoc._abort_nonblocking())
    with Listener(Address("SCLEROSCAN", "127.0.0.1", 0), [stop], CT_CLASSES) as listener:
        for said in (b"", b"\x01"):
            with socket.create_connection(("127.0.0.1", listener.port), 60) as peer:
                peer.sendall(said)
                peer.shutdown(socket.SHUT_WR)
                assert peer.recv(1) == b""


def test_an_image_that_trickles_in_is_cut_off(tmp_path: Path) -> None:
    address = Address("SCLEROSCAN", "127.0.0.1", 0, network_timeout_s=1, min_bytes_per_s=500)
    _, listener = listening(tmp_path, address)
    with listener, malformed.associated(listener.port) as peer:
        peer.sendall(malformed.command(C_STORE))
        assert malformed.is_given_up(peer, malformed.fragment(DATA, b"xx"))


def test_one_address_leaves_places_to_the_others(tmp_path: Path) -> None:
    _, listener = listening(tmp_path, Address("SCLEROSCAN", "127.0.0.1", 0), max_associations=3, max_of_a_peer=2)
    with listener:
        first, second, third = (let_in(listener.port) for _ in range(3))
        assert (first.is_established, second.is_established, third.is_rejected) == (True, True, True)
        elsewhere = let_in(listener.port, "127.0.0.2")
        assert elsewhere.is_established
        first.release()
        services.wait_until(lambda: let_in(listener.port).is_established, 10, "the place that became free")
        for opened in (second, elsewhere):
            opened.release()


def let_in(port: int, address: str = "127.0.0.1") -> Association:
    contexts = [build_context(CTImageStorage)]
    return AE("SCANNER").associate("127.0.0.1", port, contexts=contexts, bind_address=(address, 0))


def test_the_places_of_an_address_are_of_all_processes(tmp_path: Path) -> None:
    one, other = Peers(tmp_path / "peers", 2), Peers(tmp_path / "peers", 2)
    assert [one.opened(1, "10.0.0.1"), other.opened(1, "10.0.0.1"), one.opened(2, "10.0.0.1")] == [True, True, False]
    assert one.opened(2, "10.0.0.2")
    other.ended(1)
    assert one.opened(3, "10.0.0.1")
    for number in (1, 2, 3):
        one.ended(number)


def test_an_endless_image_stops_at_the_largest_image(tmp_path: Path) -> None:
    spool, listener = listening(tmp_path, Address("SCLEROSCAN", "127.0.0.1", 0, max_instance_bytes=MEGABYTE))
    with listener:
        with malformed.associated(listener.port) as peer:
            peer.sendall(malformed.command(C_STORE))
            assert malformed.is_cut_off(peer, malformed.fragment(DATA, bytes(65_536)), 1000)
        services.wait_until(lambda: not list((spool.root / "incoming").iterdir()), 10, "the end of the file")


def test_an_endless_image_stops_at_the_watermark(tmp_path: Path) -> None:
    spool, listener = listening(tmp_path, Address("SCLEROSCAN", "127.0.0.1", 0), min_free_mb=10**9)
    piece = malformed.fragment(DATA, bytes(131_072))
    with listener, malformed.associated(listener.port) as peer:
        peer.sendall(malformed.command(C_STORE))
        for _ in range(2 * LOOK_EVERY // 131_072):
            peer.sendall(piece)
        (part,) = (spool.root / "incoming").iterdir()
        services.wait_until(lambda: part.stat().st_size == 0, 10, "the space that the image took")
        peer.sendall(malformed.fragment(DATA | LAST, b""))
        assert b"\x00\x00\x00\x09\x02\x00\x00\x00\x00\xa7" in peer.recv(4096), "0xA700: out of resources"
