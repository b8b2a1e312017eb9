"""Lets in who is logged in, and lets act whose role allows it and whose own page asked."""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qsl, quote

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from compose.status_page.logins import Login, Logins
from compose.status_page.roles import Role

COOKIE = "scleroscan_login"
# Sent by the page's own script where it asks whether anything changed: nobody clicked.
POLL = "X-Live"
LARGEST_FORM = 16_384
Form = Mapping[str, str]
Shows = Callable[[Request, Login], Response]
Acts = Callable[[Request, Login, Form], Response]
Endpoint = Callable[[Request], Awaitable[Response]]


class Gate:
    """Stands before every page but the login."""

    def __init__(self, logins: Logins) -> None:
        self._logins = logins

    def shows(self, answer: Shows) -> Endpoint:
        """Let whoever is logged in see a page; others are asked to log in."""

        async def endpoint(request: Request) -> Response:
            login = self._login_of(request)
            if login is None:
                return _ask_for_login(request)
            return await run_in_threadpool(answer, request, login)

        return endpoint

    def acts(self, answer: Acts, role: Role = Role.OPERATOR) -> Endpoint:
        """Let an account with the role act, where the form bears the secret of its login."""

        async def endpoint(request: Request) -> Response:
            require_own_page(request)
            form = await read_form(request)
            login = self._login_of(request)
            if login is None or not hmac.compare_digest(form.get("csrf", "").encode(), login.csrf.encode()):
                raise HTTPException(403, "This form is not of your login. Open the page again.")
            if role == Role.OPERATOR and login.account.role != Role.OPERATOR:
                raise HTTPException(403, "Your account may look, and not act: only an operator may do this.")
            return await run_in_threadpool(answer, request, login, form)

        return endpoint

    def _login_of(self, request: Request) -> Login | None:
        return self._logins.of(request.cookies.get(COOKIE, ""), POLL not in request.headers)


def _ask_for_login(request: Request) -> Response:
    if POLL in request.headers or request.url.path.endswith(".png"):
        raise HTTPException(401, "You are not logged in any more.")
    return RedirectResponse(f"/login?next={quote(request.url.path)}", 303)


def require_own_page(request: Request) -> None:
    """Raise 403 where a browser says that the page of another site sent the form."""
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise HTTPException(403, "This form came from the page of another site.")


async def read_form(request: Request) -> Form:
    """Return the fields of a form. Raises 413 where it is longer than any of ours."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_FORM:
            raise HTTPException(413, "The form is too long.")
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=50))
