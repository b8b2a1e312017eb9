"""Callers of STOW-RS who never say who they are: each is closed in time, and keeps nobody else out."""

import socket
import time
from pathlib import Path

from tests.integration.dicom_node.stow.test_stow import part10, post, serving
from tests.support import malformed, services
from tests.support.node_senders import ct_slice

HEAD = b"POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\n"
BODY = (
    b"Authorization: Bearer a-token-of-some-length\r\nContent-Length: 1000000\r\n"
    b"Content-Type: multipart/related; boundary=xyz\r\n\r\n--xyz\r\n\r\n"
)


def connected(url: str, address: str = "127.0.0.1") -> socket.socket:
    port = int(url.split("/", maxsplit=1)[0].rpartition(":")[2])
    return socket.create_connection(("127.0.0.1", port), 60, (address, 0))


def is_closed(connection: socket.socket) -> bool:
    """Whether the node hangs up by itself, with or without a word."""
    try:
        while connection.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return True


def test_silent_connections_are_closed_and_keep_nobody_out(tmp_path: Path) -> None:
    with serving(tmp_path, request_timeout_s=1, max_associations=4, max_associations_per_peer=8) as url:
        silent = [connected(url, "127.0.0.2") for _ in range(40)]
        assert post(url, [part10(ct_slice(0))]).status_code == 200
        assert all(is_closed(connection) for connection in silent)
        for connection in silent:
            connection.close()


def test_an_address_has_its_places_and_gets_them_back(tmp_path: Path) -> None:
    with serving(tmp_path, max_associations_per_peer=2, request_timeout_s=30) as url:
        held = [connected(url, "127.0.0.2") for _ in range(2)]
        with connected(url, "127.0.0.2") as one_too_many:
            assert is_closed(one_too_many)
        for connection in held:
            connection.close()
        deadline, answer = time.monotonic() + 20, b""
        while not answer and time.monotonic() < deadline:
            with connected(url, "127.0.0.2") as again:
                answer = said_to(again, HEAD + b"Content-Length: 0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 401")


def said_to(connection: socket.socket, request: bytes) -> bytes:
    try:
        connection.sendall(request)
        return connection.recv(4096)
    except OSError:
        return b""


def test_a_request_head_that_trickles_in_is_cut_off(tmp_path: Path) -> None:
    with serving(tmp_path, request_timeout_s=1) as url, connected(url) as peer:
        peer.sendall(HEAD)
        assert malformed.is_given_up(peer, b"X: y\r\n")


def test_a_body_that_trickles_in_is_given_up(tmp_path: Path) -> None:
    with serving(tmp_path, network_timeout_s=1, request_timeout_s=1) as url, connected(url) as peer:
        peer.sendall(HEAD + BODY)
        assert malformed.is_given_up(peer, b"xx")


def test_a_part_goes_to_the_spool_while_it_comes_in(tmp_path: Path) -> None:
    incoming = tmp_path / "incoming"
    image = part10(ct_slice(0, side=512))
    with serving(tmp_path) as url:
        with connected(url) as peer:
            peer.sendall(HEAD + BODY + image[:400_000])
            services.wait_until(lambda: any(one.stat().st_size for one in incoming.iterdir()), 20, "its beginning")
        services.wait_until(lambda: not list(incoming.iterdir()), 20, "the end of what broke off")
        assert post(url, [image, part10(ct_slice(1))]).status_code == 200
    assert len(list((tmp_path / "new").iterdir())) == 2
