"""The way of HL7 v2 messages: MLLP over TCP, or TLS."""

import socket
import ssl
import time
from urllib.parse import urlsplit

from worker.delivery import web_login
from worker.destinations import Destination
from worker.errors import PeerUnreachable

CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S = 10.0, 60.0
BEGIN, END = b"\x0b", b"\x1c\r"
LONGEST_ANSWER = 1_000_000


def exchange(destination: Destination, message: str) -> str:
    """Send a message and return what the receiver answers. Raises PeerUnreachable where no whole answer comes."""
    with _opened(destination) as connection:
        try:
            connection.sendall(BEGIN + message.encode() + END)
            return _answer(connection).decode("utf-8", "replace")
        except TimeoutError as error:
            raise PeerUnreachable(f"{destination.url} does not acknowledge", code="no_answer") from error
        except OSError as error:
            raise PeerUnreachable(f"{destination.url} broke off", code="broke_off") from error


def reach(destination: Destination) -> None:
    """Raise PeerUnreachable unless somebody takes connections there."""
    _opened(destination).close()


def _answer(connection: socket.socket) -> bytes:
    heard, deadline = b"", time.monotonic() + ANSWER_TIMEOUT_S
    while END not in heard:
        if (left_s := deadline - time.monotonic()) <= 0:
            raise TimeoutError
        connection.settimeout(left_s)
        piece = connection.recv(65536)
        heard += piece
        if not piece or len(heard) > LONGEST_ANSWER:
            raise ConnectionError
    return heard.partition(BEGIN)[2].partition(END)[0]


def _opened(destination: Destination) -> socket.socket:
    parts = urlsplit(destination.url)
    where, host = destination.url, parts.hostname or ""
    # First, since it may raise: nobody would close the connection.
    context = web_login.context(destination) if destination.is_secure else None
    try:
        plain = socket.create_connection((host, parts.port or 0), CONNECT_TIMEOUT_S)
    except socket.gaierror as error:
        raise PeerUnreachable(f"{where} has a name that is unknown", code="name_unknown") from error
    except ConnectionRefusedError as error:
        raise PeerUnreachable(f"nobody listens at {where}", code="connection_refused") from error
    except TimeoutError as error:
        raise PeerUnreachable(f"nothing comes back from {where}", code="connection_timeout") from error
    except OSError as error:
        raise PeerUnreachable(f"{where} cannot be reached ({error.strerror})") from error
    plain.settimeout(ANSWER_TIMEOUT_S)
    if context is None:
        return plain
    try:
        return context.wrap_socket(plain, server_hostname=host)
    except ssl.SSLError as error:
        plain.close()
        raise PeerUnreachable(f"TLS with {where} fails: {error.reason}", code="tls_failed") from error
    except OSError as error:
        plain.close()
        raise PeerUnreachable(f"{where} broke off", code="broke_off") from error
