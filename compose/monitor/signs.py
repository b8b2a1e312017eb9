"""Signs of life: a beat that grows, by our own clock, and a port behind which somebody still answers."""

import socket
import time
from collections.abc import Callable

# A-ABORT (PS3.8 9.3.8): whoever serves the port closes the connection, and no association was asked for.
A_ABORT = bytes.fromhex("07 00 00 00 00 04 00 00 00 00")
HTTP_HEAD = b"HEAD / HTTP/1.0\r\n\r\n"
ANSWER_TIMEOUT_S = 5.0


class Beats:
    """Notes when each beat last grew; no clock of another machine is compared."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[str, tuple[int, float | None]] = {}

    def saw(self, name: str, beat: int) -> None:
        """Note the beat of a part as it is now."""
        known = self._last.get(name)
        if known is None:
            self._last[name] = beat, None
        elif known[0] != beat:
            self._last[name] = beat, self._clock()

    def silent_s(self, name: str) -> float | None:
        """Return for how many seconds a part has been silent; None where it never beat while we looked."""
        grew_at = self._last.get(name, (0, None))[1]
        return None if grew_at is None else self._clock() - grew_at


def port_fault(host: str, port: int, greeting: bytes) -> str | None:
    """Return what is wrong with a port; None where its server answers a greeting, if only by closing the connection.

    Where a process is stopped, the kernel still accepts its connections: only an answer shows that it serves them.
    """
    try:
        with socket.create_connection((host, port), ANSWER_TIMEOUT_S) as connection:
            connection.sendall(greeting)
            connection.recv(1)
    except TimeoutError:
        return f"takes connections at {host}:{port} and does not answer them"
    except ConnectionResetError:
        return None
    except OSError as error:
        return f"cannot be reached at {host}:{port}: {error.strerror}"
    return None
