"""Fixtures for every layer: the databases, the servers, the real data."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from sqlalchemy.orm import Session, sessionmaker

from db.engine import open_database
from tests.support import databases, node_forks, services

settings.register_profile("quick", max_examples=40, deadline=None)
settings.register_profile("thorough", max_examples=2000, deadline=None)
settings.load_profile("quick")
REAL_DATA = Path(__file__).parents[2] / "shared" / "data"


def pytest_configure() -> None:
    """Look for no garbage while all is loaded: a twentieth of the time of the whole suite."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Look for it from here on, and never among what is loaded."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _network_kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One folder of converted networks for the processes of all tests: each would convert its own otherwise."""
    beside_all = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        beside_all = beside_all.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKER_CACHE_DIR", str(beside_all / "networks"))
        yield


@pytest.fixture(scope="session", autouse=True)
def _node_forks() -> Iterator[None]:
    with node_forks.opened():
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real CT beside the repository."""
    if not REAL_DATA.is_dir():
        pytest.skip("no real CT at ../shared/data")
    return REAL_DATA


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A private Postgres for the session; its URL without a database name."""
    with services.postgres() as url:
        yield url


@pytest.fixture
def migrated_postgres(postgres_server: str) -> Iterator[str]:
    """A Postgres database of the test's own with today's tables."""
    url = databases.postgres(postgres_server)
    yield url
    databases.drop_postgres(url)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database with today's tables: each test runs on SQLite and on Postgres."""
    if request.param == "postgres":
        return str(request.getfixturevalue("migrated_postgres"))
    return databases.sqlite(tmp_path / "scleroscan.db")


@pytest.fixture
def sessions(database_url: str) -> Iterator[sessionmaker[Session]]:
    """Sessions on :func:`database_url`."""
    maker = open_database(database_url)
    yield maker
    maker.kw["bind"].dispose()


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A private Redis for the session."""
    with services.redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[services.Orthanc]:
    """A private Orthanc for the session."""
    with services.orthanc(tmp_path_factory.mktemp("orthanc")) as running:
        yield running
