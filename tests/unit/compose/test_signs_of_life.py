"""Beats by our own clock, and ports behind which somebody answers, or nobody."""

import socket
import threading
from collections.abc import Iterator

import pytest

from compose.monitor import signs
from compose.monitor.signs import A_ABORT, Beats, port_fault
from tests.support import services


def test_a_beat_counts_only_once_it_has_grown() -> None:
    now_s = [100.0]
    beats = Beats(lambda: now_s[0])
    assert beats.silent_s("analyse") is None
    beats.saw("analyse", 5)
    assert beats.silent_s("analyse") is None
    beats.saw("analyse", 6)
    now_s[0] += 7
    beats.saw("analyse", 6)
    assert beats.silent_s("analyse") == 7
    beats.saw("analyse", 9)
    assert beats.silent_s("analyse") == 0


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def port_of(server: socket.socket) -> int:
    return int(server.getsockname()[1])


def test_a_server_that_closes_the_connection_is_alive(server: socket.socket) -> None:
    def close_the_next() -> None:
        server.accept()[0].close()

    thread = threading.Thread(target=close_the_next)
    thread.start()
    assert port_fault("127.0.0.1", port_of(server), A_ABORT) is None
    thread.join()


def test_a_port_that_only_the_kernel_answers_is_a_fault(server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signs, "ANSWER_TIMEOUT_S", 0.2)
    assert "does not answer them" in str(port_fault("127.0.0.1", port_of(server), A_ABORT))


def test_a_port_that_nobody_listens_on_is_a_fault() -> None:
    assert "cannot be reached" in str(port_fault("127.0.0.1", services.free_port(), A_ABORT))
