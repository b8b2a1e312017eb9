"""A worker takes tasks from the broker, and no commands; its model lies ready before the first task."""

from pathlib import Path

import redis
from sqlalchemy import create_engine, text

from tests.support import databases, servers, services


def test_nobody_can_command_a_worker_by_the_broker(tmp_path: Path, redis_url: str) -> None:
    url, broker_url = databases.sqlite(tmp_path / "rows.db"), f"{redis_url[:-1]}7"
    worker = servers.worker(tmp_path, url, broker_url)
    worker.start()
    try:
        services.wait_until(lambda: " ready." in (tmp_path / "worker.log").read_text(), what="the worker")
        with redis.Redis.from_url(broker_url) as client:
            bound = [key.decode() for key in client.keys("_kombu.binding.*")]
    finally:
        worker.stop()
    assert "_kombu.binding.analyse" in bound
    log = (tmp_path / "worker.log").read_text()
    assert "[config]" not in log
    assert "-------------- " not in log
    assert [key for key in bound if "pidbox" in key] == []


def test_the_model_is_loaded_before_the_first_job(tmp_path: Path, redis_url: str) -> None:
    url = databases.sqlite(tmp_path / "rows.db")
    worker = servers.worker(tmp_path, url, f"{redis_url[:-1]}7")
    worker.start()
    try:
        services.wait_until(
            lambda: "model loaded" in (tmp_path / "worker.log").read_text(), timeout_s=150, what="the model"
        )
    finally:
        worker.stop()
    with create_engine(url).connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM model")).scalar_one() == 1
