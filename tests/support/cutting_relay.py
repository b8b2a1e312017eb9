"""A way to a server that is cut when so many bytes have gone through it."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from threading import Thread

from tests.support import relay_door


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
    with relay_door.accepting(partial(_relay, relay, port)) as own:
        relay.port = own
        yield relay


def _relay(relay: CuttingRelay, port: int, outside: socket.socket) -> None:
    with suppress(OSError), outside, socket.create_connection(("127.0.0.1", port)) as inside:
        back = Thread(target=relay_door.pass_on, args=(inside, outside), daemon=True)
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
