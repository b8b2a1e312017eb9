"""A worker takes tasks from the broker, and no commands; its model lies ready before the first task."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from sqlalchemy import create_engine, text

from tests.support import databases, servers, services


@pytest.fixture(scope="module")
def broker_url(redis_url: str) -> str:
    """A database of the broker that no other test uses."""
    return f"{redis_url[:-1]}7"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, broker_url: str) -> Iterator[Path]:
    """The folder of a worker that has begun, with its rows and its log."""
    folder = tmp_path_factory.mktemp("worker")
    worker = servers.worker(folder, databases.sqlite(folder / "rows.db"), broker_url)
    worker.start()
    yield folder
    worker.stop()


def test_nobody_can_command_a_worker_by_the_broker(folder: Path, broker_url: str) -> None:
    log = folder / "worker.log"
    services.wait_until(lambda: " ready." in log.read_text(), 150, "the worker")
    with redis.Redis.from_url(broker_url) as client:
        bound = [key.decode() for key in client.keys("_kombu.binding.*")]
    assert "_kombu.binding.analyse" in bound
    assert "[config]" not in log.read_text()
    assert "-------------- " not in log.read_text()
    assert [key for key in bound if "pidbox" in key] == []


def test_the_model_is_loaded_before_the_first_job(folder: Path) -> None:
    services.wait_until(lambda: "model loaded" in (folder / "worker.log").read_text(), 150, "the model")
    engine = create_engine(f"sqlite:///{folder / 'rows.db'}")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM model")).scalar_one() == 1
    engine.dispose()
