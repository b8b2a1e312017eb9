"""Logging in and out."""

import logging
import math
import re

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from compose.status_page.accounts import Account, Accounts
from compose.status_page.attempts import Attempts
from compose.status_page.gate import COOKIE, Form, Gate, read_form, require_own_page
from compose.status_page.logins import Login, Logins
from compose.status_page.rendering import page
from compose.status_page.roles import Role

logger = logging.getLogger(__name__)
OWN_PATH = re.compile(r"/(?:(?:exams|deliveries)(?:/[a-z0-9.]+)*)?")
# Each takes 64 MiB while it is compared.
PASSWORDS_AT_ONCE = 2


class LoginPages:
    """The form, and what becomes of it."""

    def __init__(self, accounts: Accounts, logins: Logins, is_secure: bool) -> None:
        self._accounts, self._logins, self._is_secure = accounts, logins, is_secure
        self._attempts = Attempts()
        self._places: CapacityLimiter | None = None

    def routes(self, gate: Gate) -> list[Route]:
        """Return the routes."""
        return [
            Route("/login", self.form, methods=["GET"]),
            Route("/login", self.log_in, methods=["POST"]),
            Route("/logout", gate.acts(self.log_out, Role.VIEWER), methods=["POST"]),
        ]

    def form(self, request: Request) -> Response:
        """Show the form."""
        return self._page("", _target(request.query_params.get("next", "")))

    async def log_in(self, request: Request) -> Response:
        """Compare the password, and begin a login."""
        require_own_page(request)
        form = await read_form(request)
        name, target = form.get("name", "").strip(), _target(form.get("next", ""))
        address = request.client.host if request.client else ""
        wait_s = self._attempts.wait_s(name, address)
        if wait_s > 0:
            logger.warning("login refused: too many tries", extra={"address": address})
            words = f"Too many wrong passwords. Try again in {math.ceil(wait_s / 60)} min."
            return self._page(words, target, 429)
        self._attempts.failed(name, address)
        account = await self._account_of(name, form.get("password", ""))
        if account is None:
            logger.warning("login refused", extra={"address": address})
            return self._page("No account has this name and password.", target, 403)
        self._attempts.succeeded(name, address)
        logger.info("login", extra={"account": account.name, "address": address})
        answer = RedirectResponse(target, 303)
        answer.set_cookie(
            COOKIE, self._logins.begin(account), httponly=True, samesite="strict", secure=self._is_secure, path="/"
        )
        return answer

    def log_out(self, request: Request, login: Login, _form: Form) -> Response:
        """End the login."""
        self._logins.end(request.cookies[COOKIE])
        logger.info("logout", extra={"account": login.account.name})
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE, path="/")
        return answer

    async def _account_of(self, name: str, password: str) -> Account | None:
        self._places = self._places or CapacityLimiter(PASSWORDS_AT_ONCE)
        return await to_thread.run_sync(self._accounts.with_password, name, password, limiter=self._places)

    def _page(self, fault: str, target: str, status: int = 200) -> Response:
        return page("login.html", None, status, fault=fault, target=target, nobody=not self._accounts.all())


def _target(path: str) -> str:
    """Return where to go after the login: a page of ours, or the first one."""
    return path if OWN_PATH.fullmatch(path) else "/"
