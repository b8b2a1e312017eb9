"""Requests to a DICOMweb archive; whatever goes wrong on the way is told as passing or final."""

import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx2

from worker.delivery import web_login
from worker.errors import DeliveryFailed, PeerRefused, PeerUnreachable
from worker.web_peer import WebPeer

CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S = 10.0, 60.0
# Of an answer that is longer, or takes longer to come, nothing is awaited.
LONGEST_ANSWER, LONGEST_WAIT_S = 4_000_000, 120.0
REASONS: tuple[tuple[type[Exception], str, str], ...] = (
    (ssl.SSLError, "tls_failed", "TLS fails"),
    (socket.gaierror, "name_unknown", "its name is unknown"),
    (httpx2.ConnectTimeout, "connection_timeout", "nothing comes back"),
    (ConnectionRefusedError, "connection_refused", "nobody listens there"),
    (httpx2.TimeoutException, "no_answer", "it is silent"),
    (httpx2.NetworkError, "broke_off", "it broke off"),
    (httpx2.ProtocolError, "broke_off", "it broke off"),
    (httpx2.DecodingError, "broke_off", "its answer cannot be read"),
)


@dataclass(frozen=True)
class Answer:
    """What the archive answered: HTTP status, headers in lower case, body; ``shown`` is the login that it was shown."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    shown: str = ""


class WebSession:
    """Speaks to one archive; a token is kept from request to request."""

    def __init__(self, destination: WebPeer) -> None:
        self.url = destination.web_url
        self._destination = destination
        self._login = web_login.of(destination)

    def request(self, method: str, path: str, headers: Mapping[str, str], content: bytes | None = None) -> Answer:
        """Send one request and return the answer, whatever its status.

        Raises
        ------
        PeerUnreachable
            No whole answer came.
        PeerRefused
            Our login is refused where tokens are given, or the URL cannot be right.
        """
        timeout = httpx2.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        context = web_login.context(self._destination)
        try:
            # A redirect is not followed: it could lead the object, and our login, anywhere.
            with (
                httpx2.Client(verify=context, auth=self._login, timeout=timeout, follow_redirects=False) as client,
                client.stream(method, f"{self.url}{path}", headers=dict(headers), content=content) as answer,
            ):
                shown = answer.request.headers.get("Authorization", "")
                return Answer(answer.status_code, answer.headers, b"".join(_bounded(answer)), shown)
        except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
            raise PeerRefused(f"{self.url} is no URL that can be asked: {error}", code="bad_destination") from error
        except httpx2.HTTPError as error:
            raise _failure(self.url, error) from error


def _bounded(answer: httpx2.Response) -> Iterator[bytes]:
    room, deadline = LONGEST_ANSWER, time.monotonic() + LONGEST_WAIT_S
    for chunk in answer.iter_bytes():
        room -= len(chunk)
        if room < 0 or time.monotonic() > deadline:
            raise httpx2.ReadError("the answer has no end")
        yield chunk


def _failure(url: str, error: httpx2.HTTPError) -> DeliveryFailed:
    code, why = _reason(error)
    return PeerUnreachable(f"{url} does not answer ({why})", code=code)


def _reason(error: httpx2.HTTPError) -> tuple[str, str]:
    """Return code and words for the first kind of error in the table that is among the causes."""
    causes = list(_causes(error))
    for kind, code, why in REASONS:
        for cause in causes:
            if isinstance(cause, kind):
                return code, f"{why}: {cause.reason}" if isinstance(cause, ssl.SSLError) else why
    return PeerUnreachable.code, str(error) or type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
