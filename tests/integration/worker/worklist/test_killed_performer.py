"""The process of the performer, killed after each request that it sends and started again: one end, and one result."""

import os
import signal
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.engine import open_database
from tests.support import REPOSITORY, services, workitems
from tests.support.ups_server import COMPLETED, IN_PROGRESS, UpsServer
from tests.support.workitems import Site
from worker.settings import WorkerSettings
from worker.worklist_section import Worklist

LONGEST_S = 120
SITE = """
[[destination]]
url = "{archive}"
proof = "query"

[worklist]
url = "{worklist}"
label = "{label}"
poll_s = 1
"""


class Killed:
    """A performer that is killed once a request of its is done, and started again."""

    def __init__(self, environ: dict[str, str], log: Path, ups: UpsServer) -> None:
        self._environ, self._log = environ, log
        self._after: deque[tuple[str, str]] = deque()
        self._process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        ups.done = self._done

    def kill_after(self, *requests: tuple[str, str]) -> None:
        """Kill it after each of these: method, and end of the path."""
        self._after.extend(requests)

    def run_until(self, is_reached: Callable[[], bool], what: str) -> None:
        """Start it whenever it does not run, until something is reached."""

        def step() -> bool:
            if self._process is None or self._process.poll() is not None:
                self._start()
            return not self._after and is_reached()

        services.wait_until(step, LONGEST_S, f"{what}; {self._after} are left")

    def _start(self) -> None:
        with self._log.open("ab") as out:
            command = [sys.executable, "-m", "scleroscan", "perform"]
            self._process = subprocess.Popen(command, env=self._environ, cwd=REPOSITORY, stdout=out, stderr=out)
        self.starts += 1

    def _done(self, method: str, path: str) -> None:
        wanted, end = self._after[0] if self._after else ("", "")
        if self._process is not None and method == wanted and path.endswith(end):
            self._after.popleft()
            self._process.kill()
            self._process.wait()

    def stop(self) -> int:
        """Ask it to end, and return its exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout=30)


@pytest.fixture
def settings(tmp_path: Path, orthanc: services.Orthanc, ups: UpsServer) -> WorkerSettings:
    """The settings of a site with Orthanc and the worklist."""
    (tmp_path / "site.toml").write_text(
        SITE.format(archive=orthanc.destination, worklist=ups.url, label=workitems.LABEL)
    )
    return WorkerSettings(results_dir=tmp_path / "results", site_file=tmp_path / "site.toml")


@pytest.fixture
def postgres(migrated_postgres: str) -> Iterator[sessionmaker[Session]]:
    """Sessions on a Postgres of the test's own."""
    maker = open_database(migrated_postgres)
    yield maker
    maker.kw["bind"].dispose()


def test_a_performer_killed_after_each_request_ends_an_item_once(
    ups: UpsServer,
    settings: WorkerSettings,
    postgres: sessionmaker[Session],
    migrated_postgres: str,
    orthanc: services.Orthanc,
    tmp_path: Path,
) -> None:
    site = Site(postgres, settings, Worklist(url=ups.url, label=workitems.LABEL))
    uid = ups.add(site.item())
    environ = os.environ | {
        "DB_URL": migrated_postgres,
        "DICOM_NODE_SITE_FILE": str(settings.site_file),
        "DICOM_NODE_SPOOL_DIR": str(tmp_path / "spool"),
        "WORKER_RESULTS_DIR": str(settings.results_dir),
        "WORKER_DELIVERY_RETRY_S": "0.1",
    }
    performer = Killed(environ, tmp_path / "performer.log", ups)
    performer.kill_after(("PUT", "/state"), ("POST", uid), ("POST", "/subscribers/SCLEROSCAN"))
    performer.run_until(lambda: site.rows() == ["working"], "the claim")
    assert ups.state(uid) == IN_PROGRESS
    site.receive()
    job_id = site.measure(orthanc.destination)
    performer.kill_after(("POST", uid), ("PUT", "/state"))
    site.deliver(job_id, orthanc.destination)
    site.prove(job_id, orthanc.destination)
    performer.run_until(lambda: site.rows() == ["completed"], "the end")
    assert performer.stop() == 0
    assert performer.starts == 6
    assert ups.state(uid) == COMPLETED
    (performed,) = ups.items[uid].UnifiedProcedureStepPerformedProcedureSequence
    named = [
        image.ReferencedSOPInstanceUID
        for one in performed.OutputInformationSequence
        for image in one.ReferencedSOPSequence
    ]
    assert Counter(named).most_common(1)[0][1] == 1
    held = [
        orthanc.request("POST", "/tools/find", {"Level": "Instance", "Query": {"SOPInstanceUID": one}}) for one in named
    ]
    assert [len(one) for one in held] == [1, 1]
    assert [to for _, to, _ in site.story(uid)] == ["working", "completing", "completed"]
    with postgres.begin() as session:
        assert tracking.heartbeats(session)["perform"] > 0
