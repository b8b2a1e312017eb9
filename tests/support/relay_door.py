"""The door of a relay to a server on loopback: each connection that comes is served by a thread of its own."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread


@contextmanager
def accepting(relay: Callable[[socket.socket], None]) -> Iterator[int]:
    """Hand every connection to ``relay`` for the length of the block; yield the port of the door."""
    with socket.create_server(("127.0.0.1", 0)) as door:

        def accept() -> None:
            while True:
                try:
                    outside = door.accept()[0]
                except OSError:
                    return
                Thread(target=relay, args=(outside,), daemon=True).start()

        thread = Thread(target=accept)
        thread.start()
        try:
            yield int(door.getsockname()[1])
        finally:
            door.shutdown(socket.SHUT_RDWR)
            thread.join()


def pass_on(source: socket.socket, target: socket.socket) -> None:
    """Pass on what one end says until it has said all."""
    with suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
