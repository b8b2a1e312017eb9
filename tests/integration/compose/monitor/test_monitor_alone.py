"""The monitor without a site behind it: it starts all the same, and says what is away; strangers get no numbers."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from compose.monitor.watch import QUEUES, Watch
from compose.settings import SiteSettings
from db.settings import DbSettings
from dicom_node.settings import NodeSettings
from dicom_node.site_file import EVERYWHERE
from tests.integration.compose.test_command import only_line, scleroscan
from tests.support import monitored, services
from worker.settings import WorkerSettings

TOKEN = "a-token-of-sixteen-characters"  # noqa: S105  of this test alone


@contextmanager
def alone(folder: Path, **settings: str) -> Iterator[int]:
    """Run a monitor on rows that nobody made; yield its port."""
    port = services.free_port()
    environ = os.environ | {
        "DB_URL": f"sqlite:///{folder / 'none' / 'rows.db'}",
        "DICOM_NODE_SPOOL_DIR": str(folder / "spool"),
        "DICOM_NODE_PORT": str(services.free_port()),
        "MONITOR_PORT": str(port),
        "WORKER_BROKER_URL": f"redis://127.0.0.1:{services.free_port()}/0",
        "WORKER_RESULTS_DIR": str(folder / "results"),
        **settings,
    }
    command = [sys.executable, "-m", "scleroscan", "monitor"]
    with services.running(command, folder / "monitor.log", env=environ):
        services.wait_until(lambda: services.port_answers(port), 60, "the monitor")
        yield port


def test_without_database_and_listener_it_says_so_and_lives(tmp_path: Path) -> None:
    with alone(tmp_path) as port:
        services.wait_until(lambda: "cannot be reached" in monitored.get(port, "/health/ready")[1], 20, "a look")
        status, body = monitored.get(port, "/health/ready")
        assert status == 503
        assert "database: does not answer" in body
        assert monitored.get(port, "/health/live")[0] == 200
        status, numbers = monitored.get(port, "/metrics")
        assert status == 200
        assert 'scleroscan_part_ready{part="database"} 0.0' in numbers
        assert "scleroscan_images_waiting 0.0" in numbers
        assert "scleroscan_jobs{" not in numbers
    assert not (tmp_path / "none").exists()


def test_the_numbers_need_the_token_where_one_is_set(tmp_path: Path) -> None:
    with alone(tmp_path, MONITOR_TOKEN=TOKEN) as port:
        assert monitored.get(port, "/metrics")[0] == 401
        assert monitored.get(port, "/metrics", Authorization="Bearer another")[0] == 401
        assert monitored.get(port, "/metrics", Authorization=f"Bearer {TOKEN}")[0] == 200
        assert monitored.get(port, "/health/live")[0] == 200


@pytest.mark.parametrize("command", ["up", "monitor"])
def test_no_stranger_is_served_without_a_token(tmp_path: Path, command: str) -> None:
    said = scleroscan(tmp_path, command, MONITOR_HOST=EVERYWHERE, MONITOR_PORT=str(services.free_port()))
    assert said.returncode == (os.EX_CONFIG if command == "monitor" else 1)
    assert "MONITOR_TOKEN" in said.stderr


def test_up_says_that_the_monitors_port_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"MONITOR_PORT={port}" in only_line(scleroscan(tmp_path, "up", MONITOR_PORT=port))


def test_questions_do_not_heap_up_where_no_worker_takes_them(tmp_path: Path, redis_url: str) -> None:
    now_s = [0.0]
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
        node = NodeSettings(spool_dir=tmp_path / "spool")
        worker = WorkerSettings(broker_url=redis_url, results_dir=tmp_path)
        watch = Watch(SiteSettings(DbSettings(url="sqlite://"), node, worker), lambda: now_s[0])
        for _ in range(5):
            watch._ask()
            now_s[0] += 100
        assert {queue: client.llen(queue) for queue in QUEUES} == dict.fromkeys(QUEUES, 1)
