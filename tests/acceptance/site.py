"""A whole site under test: `scleroscan up` with real Postgres, Redis and Orthanc around it."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from db import audit
from db.audit import SeriesStatus
from db.engine import open_database
from tests.support import services

STARTED = re.compile(r"process started\s+part=(?P<part>\w+) pid=(?P<pid>\d+)")


@dataclass(frozen=True)
class Site:
    """A running site and the archive behind it."""

    environ: dict[str, str]
    port: int
    folder: Path
    archive: services.Orthanc
    monitor_port: int

    def command(self, *words: str) -> Any:
        """Run a `scleroscan` command with ``--json`` on this site and return what it printed."""
        command = [sys.executable, "-m", "scleroscan", *words, "--json"]
        found = subprocess.run(command, env=self.environ, capture_output=True, text=True, check=False)
        assert found.stdout, found.stderr
        return json.loads(found.stdout)

    def send(self, folder: Path) -> None:
        """Send a folder with DCMTK's storescu."""
        command = [services.program("storescu"), "-aec", "SCLEROSCAN", "+sd", "+r", "127.0.0.1", str(self.port)]
        environ = os.environ | {"TCP_NODELAY": "1"}
        subprocess.run([*command, str(folder)], env=environ, check=True, capture_output=True)

    def wait_for(self, series_uid: str, *states: str, timeout_s: float = 180) -> SeriesStatus:
        """Wait until a series is in one of some states or stages and return its status."""
        seen: list[SeriesStatus] = []
        sessions = open_database(self.environ["DB_URL"])

        def arrived() -> bool:
            with sessions.begin() as session:
                seen[:] = audit.status(session, series_uid)
            return bool(seen) and bool({seen[0].state, seen[0].stage} & set(states))

        try:
            services.wait_until(arrived, timeout_s, f"state {' or '.join(states)} of {series_uid}")
        finally:
            sessions.kw["bind"].dispose()
        return seen[0]

    def group_of(self, part: str) -> int:
        """Return the process group of a part of the site as it runs now."""
        log = (self.folder / "site.log").read_text()
        return [int(found["pid"]) for found in STARTED.finditer(log) if found["part"] == part][-1]

    def signal(self, part: str, number: signal.Signals) -> None:
        """Send a signal to every process of a part."""
        os.killpg(self.group_of(part), number)

    def archived(self, study_uid: str) -> list[dict[str, Any]]:
        """Return the instances that the archive holds of a study: modality and SOP Instance UID."""
        found = self._ask("POST", "/tools/lookup", study_uid.encode())
        studies = [item["ID"] for item in json.loads(found) if item["Type"] == "Study"]
        return [
            {
                "id": instance["ID"],
                "sop_uid": instance["MainDicomTags"]["SOPInstanceUID"],
                "modality": series["MainDicomTags"]["Modality"],
            }
            for study in studies
            for series in self._get(f"/studies/{study}/series")
            for instance in self._get(f"/series/{series['ID']}/instances")
        ]

    def fetch(self, instance_id: str, path: Path) -> Path:
        """Download an instance from the archive."""
        path.write_bytes(self._ask("GET", f"/instances/{instance_id}/file"))
        return path

    def _get(self, path: str) -> Any:
        return json.loads(self._ask("GET", path))

    def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        connection = HTTPConnection("127.0.0.1", self.archive.http_port, timeout=30)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            assert answer.status == 200, (method, path, answer.status)
            return answer.read()
        finally:
            connection.close()


@contextmanager
def running(folder: Path, db_url: str, broker_url: str, archive: services.Orthanc) -> Iterator[Site]:
    """Run a site for the length of the block, from settings alone."""
    port, monitor_port = services.free_port(), services.free_port()
    environ = os.environ | {
        "DB_URL": db_url,
        "DICOM_NODE_HOST": "127.0.0.1",
        "DICOM_NODE_PORT": str(port),
        "DICOM_NODE_SPOOL_DIR": str(folder / "spool"),
        "DICOM_NODE_QUIET_S": "1",
        "DICOM_NODE_GAP_WAIT_S": "2",
        "DICOM_NODE_RENOTIFY_S": "3",
        "MONITOR_PORT": str(monitor_port),
        "WORKER_BROKER_URL": broker_url,
        "WORKER_DESTINATIONS": json.dumps([archive.destination]),
        "WORKER_RESULTS_DIR": str(folder / "results"),
        "WORKER_LEASE_S": "6",
    }
    site = Site(environ, port, folder, archive, monitor_port)
    # Orthanc answers storage commitment to modalities that it knows; others wait two minutes for its answer.
    archive.request("PUT", "/modalities/scleroscan", {"AET": "SCLEROSCAN", "Host": "127.0.0.1", "Port": port})
    subprocess.run([sys.executable, "-m", "scleroscan", "db", "upgrade"], env=environ, check=True, capture_output=True)
    with services.running([sys.executable, "-m", "scleroscan", "up"], folder / "site.log", env=environ):
        services.wait_until(lambda: services.port_answers(port), 60, "the listener")
        yield site
