"""Servers that a test may kill at any moment and start again on the same port, with the same files."""

import json
import os
import pwd
import signal
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import psycopg
import redis

from dicom_node.settings import NodeSettings
from tests.support import REPOSITORY, node_forks, services
from worker.settings import WorkerSettings


class Server:
    """One server in a process group of its own.

    Parameters
    ----------
    command
        How to start it.
    log
        Where it writes.
    answers
        Whether it serves.
    options
        For :class:`subprocess.Popen`.
    """

    def __init__(
        self, command: list[str], log: Path, answers: Callable[[], bool], options: Mapping[str, Any] | None = None
    ) -> None:
        self._command, self._log, self._answers = command, log, answers
        self._options = options or {}
        self.process: subprocess.Popen[bytes] | node_forks.Fork | None = None

    def start(self) -> None:
        """Start it, where it does not run, and wait until it serves."""
        deadline = time.monotonic() + 120
        while not (self.is_running() and self._answers()):
            assert time.monotonic() < deadline, self._log.read_text()[-2000:]
            if not self.is_running():
                self.process = self._begin()
            time.sleep(0.02)

    def _begin(self) -> Any:
        with self._log.open("ab") as out:
            return subprocess.Popen(self._command, stdout=out, stderr=out, start_new_session=True, **self._options)

    def is_running(self) -> bool:
        """Whether its process runs; it may not serve yet."""
        # That its port answers may be the last breath of the one before.
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """End all its processes at once, with no chance to tidy up; those that have ended already stay so."""
        assert self.process is not None
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def children(self) -> list[int]:
        """Return the ids of the processes it forked, oldest first."""
        assert self.process is not None
        return [child.pid for child in psutil.Process(self.process.pid).children()]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> float:
        """Ask it to end, and return how many seconds it took."""
        assert self.process is not None
        begun = time.monotonic()
        self.process.send_signal(how)
        self.process.wait(timeout=60)
        return time.monotonic() - begun


class Part(Server):
    """A part of the node."""

    def _begin(self) -> Any:
        return node_forks.start(self._command, self._log, own_session=True)


def postgres(folder: Path, *settings: str) -> tuple[Server, str]:
    """Return a Postgres server below ``folder``, with ``name=value`` settings, and the URL of its only database."""
    account: dict[str, Any] = {}
    if os.geteuid() == 0:
        account = {"user": "postgres", "group": "postgres", "extra_groups": []}
        os.chown(folder, pwd.getpwnam("postgres").pw_uid, pwd.getpwnam("postgres").pw_gid)
    data, port = folder / "data", services.free_port()
    initdb = [services.program("initdb"), "-D", str(data), "-U", "scleroscan", "-A", "trust", "--no-sync", "-E", "UTF8"]
    subprocess.run(initdb, check=True, capture_output=True, cwd=folder, **account)
    serve = ["-h", "127.0.0.1", "-p", str(port), "-k", str(folder)]
    serve += [word for setting in ("fsync=off", *settings) for word in ("-c", setting)]
    dsn = f"host=127.0.0.1 port={port} user=scleroscan dbname=postgres"
    command = [services.program("postgres"), "-D", str(data), *serve]
    server = Server(command, folder / "postgres.log", lambda: _postgres_answers(dsn), account)
    return server, f"postgresql+psycopg://scleroscan@127.0.0.1:{port}/postgres"


def _postgres_answers(dsn: str) -> bool:
    try:
        psycopg.connect(dsn, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def broker(folder: Path) -> tuple[Server, str]:
    """Return a Redis server that keeps nothing, and its URL."""
    port = services.free_port()
    command = [services.program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    return (
        Server([*command, "--dir", str(folder)], folder / "redis.log", lambda: _redis_answers(port)),
        f"redis://127.0.0.1:{port}/0",
    )


def _redis_answers(port: int) -> bool:
    try:
        with redis.Redis(port=port) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def wake_ups(broker_url: str) -> list[list[object]]:
    """Return the arguments of every message on the queue ``analyse``, oldest first."""
    with redis.Redis.from_url(broker_url) as client:
        messages = [json.loads(raw) for raw in client.lrange("analyse", 0, -1)]
    assert {message["headers"]["task"] for message in messages} <= {"scleroscan.analyse"}
    return [json.loads(b64decode(message["body"]))[0] for message in reversed(messages)]


def node_settings(folder: Path, **settings: Any) -> NodeSettings:
    """Return the settings of a node on a spool below ``folder``. No rule leaves its short series out."""
    no_rules = folder / "no-rules.toml"
    no_rules.write_text('[routing]\nrule = []\nchoice = { measure = "all" }\n')
    own = {"host": "127.0.0.1", "port": services.free_port(), "min_free_mb": 0, "low_free_mb": 0}
    own |= {"site_file": no_rules} | settings
    return NodeSettings(spool_dir=folder / "spool", **own)


def listener(folder: Path, settings: NodeSettings) -> Server:
    """Return a listener; it writes its log below ``folder``."""
    return _door(folder, "listener", settings, settings.port)


def web(folder: Path, settings: NodeSettings) -> Server:
    """Return a STOW-RS server; it writes its log below ``folder``."""
    return _door(folder, "web", settings, settings.web_port or 0)


def _door(folder: Path, part: str, settings: NodeSettings, port: int) -> Server:
    secret = settings.web_token.get_secret_value() if settings.web_token else None
    # Printed settings hide the token.
    given = json.dumps(settings.model_dump(mode="json") | {"web_token": secret})
    return Part([part, "", "", given], folder / f"{part}.log", partial(services.port_answers, port))


def scheduler(folder: Path, settings: NodeSettings, db_url: str, broker_url: str) -> Server:
    """Return a scheduler; it writes its log below ``folder``."""
    words = ["scheduler", db_url, broker_url, settings.model_dump_json()]
    return Part(words, folder / "scheduler.log", lambda: True)


def courier(folder: Path, settings: WorkerSettings, db_url: str) -> Server:
    """Return a worker that delivers; it writes its log below ``folder``."""
    words = ["courier", db_url, settings.broker_url, settings.model_dump_json()]
    return Part(words, folder / "courier.log", lambda: True)


def worker(folder: Path, db_url: str, broker_url: str, queue: str = "analyse") -> Server:
    """Return a worker on a queue; it writes its log and results below ``folder``."""
    command = [sys.executable, "-m", "scleroscan", "work", "--queue", queue]
    settings = {"DB_URL": db_url, "WORKER_BROKER_URL": broker_url, "WORKER_RESULTS_DIR": str(folder / "results")}
    # Short: the job of a worker that is killed is claimed again soon, however often that happens.
    settings |= {"WORKER_LEASE_S": "4", "WORKER_MAX_ATTEMPTS": "20"}
    options = {"cwd": REPOSITORY, "env": os.environ | settings}
    return Server(command, folder / "worker.log", lambda: True, options)
