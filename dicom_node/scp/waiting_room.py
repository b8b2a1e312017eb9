"""Where accepted connections wait until they say something: silence costs a descriptor, and no thread."""

import selectors
import socket
import time
from collections.abc import Callable
from threading import Event, Lock, Thread
from typing import Any

# A process may open 1,024 files by default. Whoever asks for an association does so at once: those who have waited
# longest are the last to have anything to say.
MOST_WAITING = 400
LOOK_EVERY_S = 0.5
Caller = tuple[Any, float]


class WaitingRoom:
    """Holds connections until their first byte has come, in one thread for all.

    Parameters
    ----------
    patience_s
        A connection that is silent for so long is closed.
    admit
        Called with each connection that speaks, and the address it came with.
    """

    def __init__(self, patience_s: float, admit: Callable[[socket.socket, Any], None]) -> None:
        self._patience_s = patience_s
        self._admit = admit
        self._selector = selectors.DefaultSelector()
        # In the order they came.
        self._waiting: dict[socket.socket, Caller] = {}
        self._lock = Lock()
        self._closed = Event()

    def open(self) -> None:
        """Begin to watch, in a thread: not before the fork that makes a receiver, for threads do not survive it."""
        Thread(target=self._watch, name="waiting room", daemon=True).start()

    def take(self, connection: socket.socket, address: Any) -> None:
        """Let a connection wait; where too many do, the one that has waited longest is closed."""
        with self._lock:
            self._waiting[connection] = (address, time.monotonic() + self._patience_s)
            self._selector.register(connection, selectors.EVENT_READ)
            if len(self._waiting) > MOST_WAITING:
                self._hang_up(next(iter(self._waiting)))

    def close(self) -> None:
        """Hang up on all who wait, and watch no more."""
        self._closed.set()
        with self._lock:
            for connection in list(self._waiting):
                self._hang_up(connection)

    def _watch(self) -> None:
        while not self._closed.is_set():
            spoken = [key.fileobj for key, _ in self._selector.select(LOOK_EVERY_S)]
            for connection, address in self._leaving(spoken):
                self._admit(connection, address)

    def _leaving(self, spoken: list[Any]) -> list[tuple[socket.socket, Any]]:
        """Take those who have spoken out of the room, and hang up on those who have been silent too long."""
        now = time.monotonic()
        with self._lock:
            leaving = [(one, self._out(one)[0]) for one in spoken if one in self._waiting]
            for connection in [one for one, (_, until) in self._waiting.items() if until < now]:
                self._hang_up(connection)
        return leaving

    def _hang_up(self, connection: socket.socket) -> None:
        self._out(connection)
        connection.close()

    def _out(self, connection: socket.socket) -> Caller:
        self._selector.unregister(connection)
        return self._waiting.pop(connection)
