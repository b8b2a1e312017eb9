"""Syslog: a message by RFC 5424, sent over TLS (RFC 5425) or in datagrams (RFC 5426)."""

import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from db.tls_profile import web_context

TLS, UDP = "syslog+tls", "syslog+udp"
PORTS = {TLS: 6514, UDP: 514}
# Facility 10 (security and authorization), severity 5 (notice), as PS3.15 A.6 and IHE ATNA want it.
PRIORITY = 10 * 8 + 5
APP_NAME, MESSAGE_ID, NIL = "scleroscan", "DICOM+RFC3881", "-"
BOM = b"\xef\xbb\xbf"
TIMEOUT_S = 10.0
LARGEST_DATAGRAM = 65_000


@dataclass(frozen=True)
class Repository:
    """Where messages go; ``tls`` is the context of a repository that is called by TLS."""

    host: str
    port: int
    tls: ssl.SSLContext | None


def parse(url: str) -> tuple[str, str, int]:
    """Return (scheme, host, port) of ``syslog+tls://host:port`` or ``syslog+udp://host:port``. Raises ValueError."""
    parts = urlsplit(url)
    try:
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        port = 0
    if not port or not parts.hostname or parts.path.strip("/"):
        raise ValueError(f"{url} is no audit repository: it is syslog+tls://host:port or syslog+udp://host:port")
    return parts.scheme, parts.hostname, port


def repository(url: str, authority: Path | None, certificate: Path | None, key: Path | None) -> Repository:
    """Return the repository at a URL, by TLS with our certificate, if there is one. Raises OSError for a bad file."""
    scheme, host, port = parse(url)
    return Repository(host, port, web_context(authority, certificate, key) if scheme == TLS else None)


def framed(xml: bytes, at: datetime, hostname: str, process_id: int) -> bytes:
    """Return the syslog message of an XML document."""
    head = (
        f"<{PRIORITY}>1 {at.isoformat(timespec='milliseconds')} {hostname} {APP_NAME} {process_id} {MESSAGE_ID} {NIL} "
    )
    return head.encode("ascii", "replace") + BOM + xml


def send(repository: Repository, messages: Sequence[bytes]) -> None:
    """Send messages; by TLS return only when the repository has read them all. Raises OSError where it has not."""
    if repository.tls is None:
        _send_datagrams(repository, messages)
        return
    with (
        socket.create_connection((repository.host, repository.port), TIMEOUT_S) as plain,
        repository.tls.wrap_socket(plain, server_hostname=repository.host) as secure,
    ):
        for message in messages:
            secure.sendall(f"{len(message)} ".encode() + message)
        _close(secure)


def _close(secure: ssl.SSLSocket) -> None:
    """Wait for the answer to the end of our stream: who gives it has read all before (RFC 5425 4.4)."""
    try:
        secure.unwrap()
    except ssl.SSLEOFError:
        # It closed without the farewell of TLS, after ours; a connection that breaks is reset.
        return


def _send_datagrams(repository: Repository, messages: Sequence[bytes]) -> None:
    family, kind, _, _, address = socket.getaddrinfo(repository.host, repository.port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as plain:
        for message in messages:
            plain.sendto(message[:LARGEST_DATAGRAM], address)
