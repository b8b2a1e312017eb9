"""A way to a server that is cut when so many bytes have gone through it."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Thread


@dataclass
class CuttingRelay:
    """Its port, after how many bytes it cuts the next connection (None: never), and how often it did."""

    port: int = 0
    after_bytes: int | None = None
    cuts: int = 0


@contextmanager
def running(port: int) -> Iterator[CuttingRelay]:
    """Pass connections on to a loopback port for the length of the block."""
    relay = CuttingRelay()
    with socket.create_server(("127.0.0.1", 0)) as door:
        relay.port = int(door.getsockname()[1])

        def accept() -> None:
            while True:
                try:
                    outside = door.accept()[0]
                except OSError:
                    return
                Thread(target=_relay, args=(relay, outside, port), daemon=True).start()

        thread = Thread(target=accept)
        thread.start()
        try:
            yield relay
        finally:
            door.shutdown(socket.SHUT_RDWR)
            thread.join()


def _relay(relay: CuttingRelay, outside: socket.socket, port: int) -> None:
    with suppress(OSError), outside, socket.create_connection(("127.0.0.1", port)) as inside:
        back = Thread(target=_pass_on, args=(inside, outside), daemon=True)
        back.start()
        room, passed = relay.after_bytes, 0
        while piece := outside.recv(65536):
            passed += len(piece)
            if room is not None and passed > room:
                relay.cuts += 1
                for end in (outside, inside):
                    end.shutdown(socket.SHUT_RDWR)
                return
            inside.sendall(piece)
        inside.shutdown(socket.SHUT_WR)
        back.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
