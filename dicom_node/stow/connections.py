"""Bounds who connects to STOW-RS, before anybody is known: places for each address, a deadline for requests."""

import asyncio
import socket
from collections import Counter
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


class _Counted(socket.socket):
    """A connection that gives its place back when it is closed."""

    places: Counter[str]
    address: str | None = None

    def close(self) -> None:
        """Close the connection."""
        if self.address is not None:
            self.places[self.address] -= 1
            self.address = None
        super().close()


class CountingListener(socket.socket):
    """A listening socket that closes at once what an address opens beyond its places, before any TLS handshake."""

    def __init__(self, host: str, port: int, most: int) -> None:
        super().__init__(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.bind((host, port))
        self._most = most
        self._places: Counter[str] = Counter()

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection of an address that has a place left."""
        while True:
            plain, address = super().accept()
            if self._places[address[0]] < self._most:
                break
            plain.close()
        self._places[address[0]] += 1
        connection = _Counted(fileno=plain.detach())
        connection.places, connection.address = self._places, address[0]
        return connection, address


class DeadlineProtocol(H11Protocol):
    """Closes a connection on which no whole request head comes within uvicorn's ``timeout_keep_alive``."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take the next bytes of a request."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request, or for the end of a body that was refused unread."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        super().connection_lost(exc)
        self._forget()

    def _watch(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._forget()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.timeout_keep_alive, self.transport.abort)

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
