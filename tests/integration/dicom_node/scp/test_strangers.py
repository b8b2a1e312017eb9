"""Peers that the protocol allows in, and that then send what no honest one does: each is cut off, and alone."""

import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from pynetdicom import evt

from dicom_node.scp.handlers import Receiver
from dicom_node.scp.listener import Address, Listener
from dicom_node.scp.other_messages import LONGEST_DATA_SET, MOST_WAITING
from dicom_node.spool.folder import Spool
from dicom_node.spool.image import CT_CLASSES
from tests.support import malformed
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
