"""How a DICOMweb archive is logged in to: TLS, a bearer token, basic authentication, or OAuth2 client credentials."""

import json
import ssl
import time
from collections.abc import Generator
from pathlib import Path

import httpx2

from db.tls_profile import web_context
from worker.errors import PeerRefused, PeerUnreachable
from worker.web_peer import ClientCredentials, WebPeer

UNAUTHORIZED = 401
# A token is asked for anew so long before its end, and kept so long where the server does not say.
MARGIN_S, DEFAULT_LIFE_S = 30.0, 60.0


def context(destination: WebPeer) -> ssl.SSLContext:
    """Return the TLS context for an archive. Raises PeerUnreachable where a file of it cannot be used."""
    try:
        return web_context(destination.tls_ca, destination.tls_cert, destination.tls_key)
    except OSError as error:
        # While certificates are renewed, files may be away or not match for a moment.
        raise PeerUnreachable(
            f"our files for calling {destination.url} by TLS cannot be used ({error.strerror})", code="tls_files"
        ) from error


def of(destination: WebPeer) -> httpx2.Auth | None:
    """Return what logs requests in; None where the archive asks for nothing, or for a certificate alone."""
    if destination.oauth2 is not None:
        return OAuth2Token(destination.oauth2)
    if destination.token_file is not None:
        return TokenFile(destination.token_file)
    if destination.user is not None and destination.password_file is not None:
        return PasswordFile(destination.user, destination.password_file)
    return None


def require_readable(destination: WebPeer) -> None:
    """Raise PeerUnreachable where a file of the login cannot be used."""
    context(destination)
    secret = destination.oauth2.client_secret_file if destination.oauth2 else None
    for path in (destination.token_file, destination.password_file, secret):
        if path is not None:
            secret_in(path)


class TokenFile(httpx2.Auth):
    """A bearer token, read anew for each request: whoever renews it only writes the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Show the token."""
        _bear(request, secret_in(self._path))
        yield request


class PasswordFile(httpx2.Auth):
    """A user and a password, read anew for each request."""

    def __init__(self, user: str, path: Path) -> None:
        self._user, self._path = user, path

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Show user and password."""
        yield from httpx2.BasicAuth(self._user, secret_in(self._path)).auth_flow(request)


class OAuth2Token(httpx2.Auth):
    """A bearer token of an authorization server, kept until shortly before its end (RFC 6749 4.4)."""

    def __init__(self, credentials: ClientCredentials) -> None:
        self._credentials = credentials
        self._token, self._until = "", 0.0

    def sync_auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Show the token; where the archive does not take one that was kept, show a new one, once."""
        kept = self._token if time.monotonic() < self._until else ""
        if not kept:
            self._keep((yield self._question()))
        _bear(request, self._token)
        answer = yield request
        if kept and answer.status_code == UNAUTHORIZED:
            self._keep((yield self._question()))
            _bear(request, self._token)
            yield request

    def _question(self) -> httpx2.Request:
        asked = self._credentials
        form = {"grant_type": "client_credentials"} | ({"scope": asked.scope} if asked.scope else {})
        question = httpx2.Request("POST", asked.token_url, data=form, headers={"Accept": "application/json"})
        return next(httpx2.BasicAuth(asked.client_id, secret_in(asked.client_secret_file)).auth_flow(question))

    def _keep(self, answer: httpx2.Response) -> None:
        """Keep the token of an answer. Raises PeerRefused or PeerUnreachable where there is none in it."""
        where, detail = self._credentials.token_url, {"http_status": answer.status_code}
        if answer.is_client_error:
            raise PeerRefused(f"{where} gives us no token", code="login_refused", detail=detail)
        try:
            # Read here: the flow leaves bodies unread, so that the archive's is read within its bounds.
            said = json.loads(answer.raise_for_status().read())
            self._token, life_s = str(said["access_token"]), float(said.get("expires_in", DEFAULT_LIFE_S))
        except (httpx2.HTTPError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise PeerUnreachable(f"{where} gives no token now", code="token_server_away", detail=detail) from error
        self._until = time.monotonic() + life_s - MARGIN_S


def secret_in(path: Path) -> str:
    """Return what a file holds, without the end of its line. Raises PeerUnreachable where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PeerUnreachable(f"{path} cannot be read: it holds our login", code="login_unreadable") from error


def _bear(request: httpx2.Request, token: str) -> None:
    request.headers["Authorization"] = f"Bearer {token}"
