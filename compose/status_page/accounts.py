"""The accounts of the status page: a file of its own, since who may open it is no matter of the rows."""

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from compose.errors import AccountsUnreadable, Unknown, UnusableSetting
from compose.status_page.roles import Role

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
SHORTEST_PASSWORD = 12
# Argon2id with the parameters of RFC 9106 for little memory, 64 MiB.
HASHER = PasswordHasher()
# Whoever guesses names learns nothing from the time that an answer takes.
NOBODY = HASHER.hash("nobody has this password")


@dataclass(frozen=True)
class Account:
    """One person. ``sees_patients`` allows names and IDs of patients."""

    name: str
    role: Role
    sees_patients: bool
    password_hash: str

    @property
    def who(self) -> str:
        """How events name this person."""
        return f"{self.role}:{self.name}@page"


class Accounts:
    """The accounts in a file, read anew whenever it has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._known: Mapping[str, Account] = {}

    def all(self) -> Mapping[str, Account]:
        """Return the accounts by name. Raises AccountsUnreadable."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise _unreadable(self._path) from error
        stamp = (status.st_mtime_ns, status.st_ino)
        if stamp != self._stamp:
            self._known, self._stamp = _read(self._path), stamp
        return self._known

    def of(self, name: str) -> Account | None:
        """Return one account."""
        return self.all().get(name)

    def with_password(self, name: str, password: str) -> Account | None:
        """Return the account with this name and password; it takes as long where there is none."""
        account = self.of(name)
        try:
            HASHER.verify(account.password_hash if account else NOBODY, password)
        except (Argon2Error, InvalidHashError):
            return None
        return account

    def put(self, name: str, role: Role, sees_patients: bool, password: str) -> None:
        """Add an account, or change the one of this name. Raises UnusableSetting for a wrong name or password."""
        if not NAME.fullmatch(name):
            raise UnusableSetting(f"{name} is no name of an account: it has 1 to 32 of a-z, 0-9, dot, - and _")
        if len(password) < SHORTEST_PASSWORD:
            raise UnusableSetting(f"a password has {SHORTEST_PASSWORD} characters or more")
        account = Account(name, role, sees_patients, HASHER.hash(password))
        with self._locked():
            self._write({**self.all(), name: account})

    def remove(self, name: str) -> None:
        """Remove an account, which logs it out. Raises Unknown where there is none."""
        with self._locked():
            known = dict(self.all())
            if known.pop(name, None) is None:
                raise Unknown(f"there is no account {name}")
            self._write(known)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one process at a time change the file; of two at once the later would forget what the first wrote."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A file of its own, for that of the accounts is replaced by each change.
        with open(self._path.with_name(f"{self._path.name}.lock"), "wb", opener=_private) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _write(self, accounts: Mapping[str, Account]) -> None:
        part = self._path.with_name(f"{self._path.name}.{os.getpid()}.part")
        with open(part, "w", encoding="utf-8", opener=_private) as file:
            json.dump([asdict(one) for _, one in sorted(accounts.items())], file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _read(path: Path) -> dict[str, Account]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        accounts = [Account(**(row | {"role": Role(row["role"])})) for row in rows]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _unreadable(path) from error
    return {one.name: one for one in accounts}


def _unreadable(path: Path) -> AccountsUnreadable:
    return AccountsUnreadable(f"STATUS_PAGE_ACCOUNTS={path} cannot be read, or is no file of accounts")
