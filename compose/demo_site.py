"""The embedded site of the demo: listener, scheduler, workers and broker on this machine, in a folder of their own."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from compose import broker, processes
from compose.errors import DemoFailed
from db import schema
from db.address import ApplicationEntity
from worker.delivery import dicom
from worker.errors import PeerUnreachable
from worker.settings import EMBEDDED

OUR_AE = "SCLEROSCAN"
POLL_S = 0.2
START_TIMEOUT_S = 60.0


def db_url(home: Path) -> str:
    """Return the address of the site's database."""
    return f"sqlite:///{home / 'scleroscan.db'}"


def settings(home: Path, listener: ApplicationEntity) -> dict[str, str]:
    """Return the settings of the site that stay right once it has ended: where its rows and files are."""
    home = home.absolute()
    return {
        "DB_URL": db_url(home),
        "DICOM_NODE_AE_TITLE": OUR_AE,
        "DICOM_NODE_HOST": listener.host,
        "DICOM_NODE_PORT": str(listener.port),
        "DICOM_NODE_SPOOL_DIR": str(home / "spool"),
        "WORKER_RESULTS_DIR": str(home / "results"),
        "STATUS_PAGE_ACCOUNTS": str(home / "accounts.json"),
        # Beside the demos: the next one starts faster.
        "WORKER_CACHE_DIR": str(home.parent / "cache"),
    }


@contextmanager
def running(home: Path, destination: str) -> Iterator[ApplicationEntity]:
    """Run listener and workers for the length of the block; yield the listener's address once it answers.

    Raises
    ------
    DemoFailed
        The listener did not start in time.
    """
    schema.upgrade(db_url(home))
    listener = ApplicationEntity.parse(f"{OUR_AE}@127.0.0.1:{_free_port()}")
    with broker.running(EMBEDDED) as broker_url:
        environ = (
            os.environ
            | settings(home, listener)
            | {
                "DICOM_NODE_QUIET_S": "1",
                "WORKER_BROKER_URL": broker_url,
                "WORKER_DESTINATIONS": f'["{destination}"]',
            }
        )
        supervisor = processes.Supervisor(processes.SITE, environ, log=home / "site.log")
        stop = threading.Event()
        runner = threading.Thread(target=supervisor.run, args=(stop,), name="site")
        runner.start()
        try:
            _wait_for(listener, home / "site.log")
            yield listener
        finally:
            stop.set()
            runner.join()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(listener: ApplicationEntity, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            dicom.echo(listener, OUR_AE)
        except PeerUnreachable as error:
            if time.monotonic() > deadline:
                raise DemoFailed(f"the listener did not start: read {log}") from error
            time.sleep(POLL_S)
        else:
            return
