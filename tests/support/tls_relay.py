"""A proxy that speaks TLS for a server that does not: Debian's Orthanc 1.10.1 ends at the first HTTPS request."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread


@contextmanager
def running(context: ssl.SSLContext, port: int) -> Iterator[int]:
    """Pass on what comes by TLS to a loopback port, for the length of the block; yield the port of the proxy."""
    with socket.create_server(("127.0.0.1", 0)) as door:

        def accept() -> None:
            while True:
                try:
                    connection = door.accept()[0]
                except OSError:
                    return
                Thread(target=_relay, args=(context, connection, port), daemon=True).start()

        thread = Thread(target=accept)
        thread.start()
        try:
            yield int(door.getsockname()[1])
        finally:
            door.shutdown(socket.SHUT_RDWR)
            thread.join()


def _relay(context: ssl.SSLContext, connection: socket.socket, port: int) -> None:
    with (
        suppress(OSError),
        connection,
        context.wrap_socket(connection, server_side=True) as outside,
        socket.create_connection(("127.0.0.1", port)) as inside,
    ):
        back = Thread(target=_pass_on, args=(inside, outside), daemon=True)
        back.start()
        _pass_on(outside, inside)
        back.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
