"""Who is logged in, kept in the memory of this process: a cookie is a number that nobody can guess."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from compose.status_page.accounts import Account, Accounts
from compose.status_page.roles import Role

MOST = 1000


@dataclass
class Login:
    """One browser that is logged in. ``opened`` are the series that were shown there, and noted as such."""

    account: Account
    begun: float
    last_click: float
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    opened: set[str] = field(default_factory=set)
    notice: str = ""

    @property
    def is_operator(self) -> bool:
        """Whether this person may act."""
        return self.account.role == Role.OPERATOR

    def take_notice(self) -> str:
        """Return what is to be said once, and forget it."""
        said, self.notice = self.notice, ""
        return said


class Logins:
    """The logins of one process.

    Parameters
    ----------
    idle_s, login_s
        For how long a login lasts without a click, and in any case.
    """

    def __init__(
        self, accounts: Accounts, idle_s: float, login_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._accounts = accounts
        self._idle_s, self._login_s = idle_s, login_s
        self._clock = clock
        self._known: dict[str, Login] = {}

    def begin(self, account: Account) -> str:
        """Log an account in and return the value of its cookie."""
        self._forget_the_old()
        now = self._clock()
        token = secrets.token_urlsafe(32)
        self._known[token] = Login(account, now, now)
        return token

    def of(self, token: str, is_click: bool) -> Login | None:
        """Return the login of a cookie while it lasts, and while its account is as it was. A poll is no click."""
        login = self._known.get(token)
        if login is None:
            return None
        if self._is_over(login) or self._accounts.of(login.account.name) != login.account:
            self.end(token)
            return None
        if is_click:
            login.last_click = self._clock()
        return login

    def end(self, token: str) -> None:
        """Log out."""
        self._known.pop(token, None)

    def _is_over(self, login: Login) -> bool:
        now = self._clock()
        return now - login.last_click > self._idle_s or now - login.begun > self._login_s

    def _forget_the_old(self) -> None:
        for token in [token for token, login in self._known.items() if self._is_over(login)]:
            self.end(token)
        while len(self._known) >= MOST:
            self.end(next(iter(self._known)))
