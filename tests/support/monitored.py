"""A whole site whose parts are processes of the test's own, and its monitor."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from db import schema
from tests.support import services

ROWS = "rows.db"
PARTS = {
    "scheduler": ("schedule",),
    "listener": ("listen",),
    "analyse": ("work", "--queue", "analyse"),
    "deliver": ("work", "--queue", "deliver"),
    "monitor": ("monitor",),
}


@dataclass(frozen=True)
class MonitoredSite:
    """The port of the listener, that of the monitor, the folder of its rows, and the processes by name."""

    dicom_port: int
    port: int
    folder: Path
    processes: dict[str, subprocess.Popen[bytes]]

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Ask the monitor; return the status and the body."""
        return get(self.port, path, **headers)

    def ready(self) -> tuple[int, dict[str, Any]]:
        """Return the status and the answer of /health/ready."""
        status, body = self.get("/health/ready")
        return status, json.loads(body)

    def wait_until_ready(self) -> None:
        """Wait until every part does its work."""
        services.wait_until(lambda: self.ready()[0] == 200, 150, "a site that is ready")

    def samples(self) -> list[Sample]:
        """Return every sample of /metrics."""
        status, text = self.get("/metrics")
        assert status == 200
        return [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def number(self, name: str, **labels: str) -> float:
        """Return the value of one sample; 0 where there is none."""
        return sum(one.value for one in self.samples() if one.name == name and one.labels == labels)

    def signal(self, part: str, number: signal.Signals) -> None:
        """Send a signal to all processes of a part."""
        os.killpg(self.processes[part].pid, number)

    def silence(self, part: str) -> None:
        """Stop a part between its transactions: stopped within one, it would keep all others from their rows too."""

        def is_silent() -> bool:
            self.signal(part, signal.SIGSTOP)
            if takes_writes(self.folder / ROWS):
                return True
            self.signal(part, signal.SIGCONT)
            return False

        services.wait_until(is_silent, 60, f"{part} stopped between its transactions")


def takes_writes(rows: Path) -> bool:
    """Whether nobody holds the database for writing."""
    connection = sqlite3.connect(rows, timeout=0.5, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE").execute("ROLLBACK")
    except sqlite3.OperationalError:
        return False
    else:
        return True
    finally:
        connection.close()


def get(port: int, path: str, **headers: str) -> tuple[int, str]:
    """Ask a loopback port by HTTP; return the status and the body."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@contextmanager
def running(folder: Path, db_url: str, broker_url: str, **settings: str) -> Iterator[MonitoredSite]:
    """Run every part of a site for the length of the block."""
    dicom_port, port = services.free_port(), services.free_port()
    environ = os.environ | {
        "DB_URL": db_url,
        "DICOM_NODE_HOST": "127.0.0.1",
        "DICOM_NODE_PORT": str(dicom_port),
        "DICOM_NODE_SPOOL_DIR": str(folder / "spool"),
        "DICOM_NODE_QUIET_S": "1",
        "DICOM_NODE_GAP_WAIT_S": "2",
        "DICOM_NODE_RENOTIFY_S": "3",
        "MONITOR_PORT": str(port),
        "MONITOR_LATE_S": "10",
        "WORKER_BROKER_URL": broker_url,
        "WORKER_RESULTS_DIR": str(folder / "results"),
        **settings,
    }
    program = [sys.executable, "-m", "scleroscan"]
    schema.upgrade(db_url)
    with ExitStack() as stack:
        processes = {
            name: stack.enter_context(
                services.running([*program, *words], folder / f"{name}.log", env=environ, start_new_session=True)
            )
            for name, words in PARTS.items()
        }
        services.wait_until(lambda: services.port_answers(port), 60, "the monitor")
        yield MonitoredSite(dicom_port, port, folder, processes)
