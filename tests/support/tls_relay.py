"""A proxy that speaks TLS for a server that does not: Debian's Orthanc 1.10.1 ends at the first HTTPS request."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from threading import Thread

from tests.support import relay_door


@contextmanager
def running(context: ssl.SSLContext, port: int) -> Iterator[int]:
    """Pass on what comes by TLS to a loopback port, for the length of the block; yield the port of the proxy."""
    with relay_door.accepting(partial(_relay, context, port)) as own:
        yield own


def _relay(context: ssl.SSLContext, port: int, connection: socket.socket) -> None:
    with (
        suppress(OSError),
        connection,
        context.wrap_socket(connection, server_side=True) as outside,
        socket.create_connection(("127.0.0.1", port)) as inside,
    ):
        back = Thread(target=relay_door.pass_on, args=(inside, outside), daemon=True)
        back.start()
        relay_door.pass_on(outside, inside)
        back.join()
