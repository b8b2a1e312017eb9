"""The embedded site of the demo: listener, scheduler, workers and broker on this machine, in a folder of their own."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from compose.errors import DemoFailed
from compose.tied import tied
from db.address import ApplicationEntity
from worker.delivery import dicom
from worker.errors import PeerUnreachable
from worker.settings import EMBEDDED

OUR_AE = "SCLEROSCAN"
POLL_S = 0.2
START_TIMEOUT_S = 60.0
# Of a site that stands beside: who may send to it, what it does not measure, where it asks for work.
NOT_ASKED = ("DICOM_NODE_", "MONITOR_", "STATUS_PAGE_", "WORKER_SITE_FILE")


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
    listener = ApplicationEntity.parse(f"{OUR_AE}@127.0.0.1:{_free_port()}")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(NOT_ASKED)}
    environ |= settings(home, listener) | {
        "DICOM_NODE_QUIET_S": "1",
        "MONITOR_PORT": "0",
        "STATUS_PAGE_PORT": "0",
        "WORKER_BROKER_URL": EMBEDDED,
        "WORKER_DESTINATIONS": f'["{destination}"]',
    }
    log = home / "site.log"
    with log.open("ab") as out:
        command = tied([sys.executable, "-m", "scleroscan", "up"])
        site = subprocess.Popen(command, env=environ, stdout=out, stderr=out, start_new_session=True)
    try:
        _wait_for(listener, site, log)
        yield listener
    finally:
        site.terminate()
        site.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(listener: ApplicationEntity, site: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            dicom.echo(listener, OUR_AE)
        except PeerUnreachable as error:
            if time.monotonic() > deadline or site.poll() is not None:
                raise DemoFailed(f"the listener did not start: read {log}") from error
            time.sleep(POLL_S)
        else:
            return
