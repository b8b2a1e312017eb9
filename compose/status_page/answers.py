"""What every answer has: headers that let a browser load nothing of others, and faults as pages."""

import logging

from sqlalchemy.exc import DataError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from compose.errors import AccountsUnreadable
from compose.status_page.gate import POLL
from compose.status_page.rendering import page
from db.errors import TrackingError

# The database cannot be reached, or has no connection left.
AWAY = (OperationalError, InterfaceError, PoolTimeout)
# An address or a form names what no row can hold: a sign, or a number too large.
SENSELESS = (DataError, OverflowError)
logger = logging.getLogger(__name__)
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    # Rows and pictures of patients stay in no cache.
    "Cache-Control": "no-store",
}


class Headers:
    """Adds the headers to each answer."""

    def __init__(self, app: ASGIApp, is_secure: bool) -> None:
        self._app = app
        self._headers = HEADERS | ({"Strict-Transport-Security": "max-age=31536000"} if is_secure else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        await self._app(scope, receive, with_headers)


def fault(request: Request, error: Exception) -> Response:
    """Answer with what is wrong, as a page, or as a line for the page's own script."""
    status, sentence = _what(error)
    if POLL in request.headers:
        return PlainTextResponse(sentence, status)
    return page("fault.html", None, status, sentence=sentence)


def _what(error: Exception) -> tuple[int, str]:
    if isinstance(error, HTTPException):
        return error.status_code, error.detail
    if isinstance(error, AWAY):
        logger.error("the database does not answer", extra={"error": type(error).__name__})
        return 503, "The database does not answer. Images are still received; try again in a moment."
    if isinstance(error, AccountsUnreadable):
        logger.error("nobody can log in", extra={"code": error.code, "error": str(error)})
        return 503, f"The accounts cannot be read ({error.code}): an administrator has to mend their file."
    if isinstance(error, SENSELESS):
        return 404, "There is nothing of this name or number."
    return 409, f"{error}."


KNOWN = dict.fromkeys((HTTPException, TrackingError, AccountsUnreadable, *AWAY, *SENSELESS), fault)
