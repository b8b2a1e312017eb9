"""A site after two months of work (:mod:`tests.support.audited_site`), and its status page."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session, sessionmaker

from compose.settings import SiteSettings
from compose.status_page import accounts
from db import schema
from db.engine import open_database
from tests.support import audited_site, status_page


@pytest.fixture(autouse=True)
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash with few rounds: how slow hashing is belongs to no test here but one."""
    quick = accounts.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(accounts, "HASHER", quick)
    monkeypatch.setattr(accounts, "NOBODY", quick.hash("nobody"))


@pytest.fixture(scope="session")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rows, written once."""
    path = tmp_path_factory.mktemp("worked") / "rows.db"
    schema.upgrade(f"sqlite:///{path}")
    sessions = open_database(f"sqlite:///{path}")
    audited_site.fill(sessions)
    sessions.kw["bind"].dispose()
    return path


@pytest.fixture
def url(worked: Path, tmp_path: Path) -> str:
    """A copy of the rows for the test."""
    path = tmp_path / "rows.db"
    path.write_bytes(worked.read_bytes())
    path.chmod(0o600)
    return f"sqlite:///{path}"


@pytest.fixture
def rows(url: str) -> Iterator[sessionmaker[Session]]:
    maker = open_database(url)
    yield maker
    maker.kw["bind"].dispose()


@pytest.fixture
def site(url: str, tmp_path: Path) -> SiteSettings:
    return status_page.site(tmp_path, url)
