"""The main job end to end on one machine, with nothing to install beside the package."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session, sessionmaker

from compose import broker, folders, processes
from compose.errors import DemoFailed
from db import audit, schema
from db.address import ApplicationEntity
from db.audit import SeriesStatus
from db.engine import open_database
from db.states import JobState
from dicom_node.scp.archive import Archive
from dicom_node.spool import part10
from worker.analysis import quantify
from worker.analysis.records import Assessment, Quantity, Region
from worker.delivery import dicom
from worker.errors import PeerUnreachable
from worker.phantom.chest_ct import PhantomSpec, render
from worker.phantom.dicom_series import PhantomIdentity, write_series
from worker.settings import EMBEDDED

ARCHIVE_AE, OUR_AE = "ARCHIVE", "SCLEROSCAN"
POLL_S = 0.2
START_TIMEOUT_S = 60.0
JOB_TIMEOUT_S = 1800.0
ENDED = frozenset({JobState.DELIVERED, JobState.REJECTED, JobState.REVIEW, JobState.FAILED})
VOLUME_TOLERANCE_PCT, EXTENT_TOLERANCE_POINTS = 3.0, 5.0
PHANTOM = PhantomSpec(
    seed=20260101, shape=(110, 512, 512), spacing_mm=(2.5, 0.7, 0.7), extent_pct=20.0, reticulation_share=0.5
)
NAMES = {
    Region.TOTAL: "total extent",
    Region.GROUND_GLASS: "ground glass",
    Region.RETICULATION: "reticulation",
    Region.CONSOLIDATION: "consolidation",
}
Report = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What the demo has to show.

    ``truth`` is the phantom's own assessment, None for a series of the user's; ``row`` is the audit row; ``trail`` the
    events of the series, oldest first; ``no_dicom`` the number of files left out; ``seconds`` the time each stage took.
    """

    status: SeriesStatus
    row: dict[str, Any]
    trail: list[dict[str, Any]]
    truth: Assessment | None
    pictures: tuple[Path, ...]
    archived: tuple[Path, ...]
    no_dicom: int
    seconds: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """Return the object that ``scleroscan demo --json`` prints."""
        return {
            "series_uid": self.status.series_uid,
            "seg_uid": self.row.get("seg_uid"),
            "sr_uid": self.row.get("sr_uid"),
            "state": self.status.state,
            "lung_volume_ml": self.row.get("lung_volume_ml"),
            "extent_pct": {name: self.row.get(f"{name}_extent_pct") for name in ("total", "ggo", "reticulation")},
            "no_dicom": self.no_dicom,
            "seconds": self.seconds,
        }

    @property
    def agrees(self) -> bool:
        """Whether the numbers are as near to the truth as this phantom demands; true where no truth is known."""
        return self.truth is None or all(within for *_, within in self.comparison())

    def comparison(self) -> list[tuple[str, float, float, str, bool]]:
        """Return rows (name, measured, truth, unit, near enough)."""
        if self.truth is None or not self.row:
            return []
        volume, true_volume = self.row["lung_volume_ml"], self.truth.value(Region.LUNG, Quantity.VOLUME)
        near = abs(volume / true_volume - 1) * 100 <= VOLUME_TOLERANCE_PCT
        rows = [("lung volume", volume, true_volume, "ml", near)]
        for region, name in NAMES.items():
            measured, true = self.row[f"{region}_extent_pct"], self.truth.value(region, Quantity.EXTENT)
            rows.append((name, measured, true, "%", abs(measured - true) <= EXTENT_TOLERANCE_POINTS))
        return rows


def run(folder: Path, dicom_dir: Path | None, report: Report) -> Outcome:
    """Send a chest CT through an embedded site and wait for SEG and SR in the embedded archive.

    Parameters
    ----------
    folder
        Everything the demo writes lies below it, in a folder of its own for each run.
    dicom_dir
        A CT series of the user's; None computes a phantom.
    report
        Called with one line at each step.

    Raises
    ------
    DemoFailed
        A part did not start, or the job did not end in time.
    """
    home = folder / f"{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    home.mkdir(parents=True)
    truth = None
    started = time.monotonic()
    if dicom_dir is None:
        report("computing a chest CT with disease of known extent")
        dicom_dir, truth = _phantom_series(home / "dicom")
    paths, others = folders.dicom_below(dicom_dir)
    if not paths:
        raise DemoFailed("the folder holds no DICOM file: name one with the images of a CT series")
    series_uid = part10.read_file(paths[0]).header.uid("SeriesInstanceUID")
    prepared = time.monotonic()
    archive = Archive(home / "archive", ae_title=ARCHIVE_AE, port=0)
    with archive, _site(home, f"dicom://{ARCHIVE_AE}@127.0.0.1:{archive.port}") as listener:
        beside = f"; {len(others)} other files are no DICOM" if others else ""
        report(f"sending {len(paths)} images to {listener}{beside}")
        sending = time.monotonic()
        dicom.store(paths, listener, "SCANNER")
        sent = time.monotonic()
        sessions = open_database(_db_url(home))
        status = _follow(sessions, series_uid, report)
        with sessions.begin() as session:
            rows, trail = audit.results(session, series_uid), audit.trail(session, series_uid)
        sessions.kw["bind"].dispose()
    return Outcome(
        status=status,
        row=rows[0] if rows else {},
        trail=trail,
        truth=truth,
        pictures=tuple(sorted((home / "results").rglob("*.png"))),
        archived=tuple(archive.instances()),
        no_dicom=len(others),
        seconds={"prepare": round(prepared - started, 2), "send": round(sent - sending, 2), **stage_seconds(trail)},
    )


def _phantom_series(folder: Path) -> tuple[Path, Assessment]:
    phantom = render(PHANTOM)
    write_series(phantom, folder, PhantomIdentity())
    return folder, quantify.assess(phantom.volume, phantom.lungs, phantom.patterns)


def _db_url(home: Path) -> str:
    return f"sqlite:///{home / 'scleroscan.db'}"


@contextmanager
def _site(home: Path, destination: str) -> Iterator[ApplicationEntity]:
    """Run listener and workers for the length of the block; yield the listener's address once it answers."""
    schema.upgrade(_db_url(home))
    listener = ApplicationEntity.parse(f"{OUR_AE}@127.0.0.1:{_free_port()}")
    with broker.running(EMBEDDED) as broker_url:
        environ = os.environ | {
            "DB_URL": _db_url(home),
            "DICOM_NODE_AE_TITLE": OUR_AE,
            "DICOM_NODE_HOST": listener.host,
            "DICOM_NODE_PORT": str(listener.port),
            "DICOM_NODE_SPOOL_DIR": str(home / "spool"),
            "DICOM_NODE_QUIET_S": "1",
            "WORKER_BROKER_URL": broker_url,
            "WORKER_DESTINATIONS": f'["{destination}"]',
            "WORKER_RESULTS_DIR": str(home / "results"),
        }
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


def _follow(sessions: sessionmaker[Session], series_uid: str, report: Report) -> SeriesStatus:
    """Report each change of state or stage until the job has ended."""
    deadline, shown = time.monotonic() + JOB_TIMEOUT_S, ""
    while time.monotonic() < deadline:
        with sessions.begin() as session:
            rows = audit.status(session, series_uid)
        if rows:
            now_at = rows[0].stage or rows[0].state
            if now_at != shown:
                shown = now_at
                report(now_at)
            if rows[0].state in ENDED:
                return rows[0]
        time.sleep(POLL_S)
    raise DemoFailed(f"the job did not end within {JOB_TIMEOUT_S:.0f} s")


def stage_seconds(trail: list[dict[str, Any]]) -> dict[str, float]:
    """Return how long each stage took, from the times of the events of one series.

    A stage lasts from its event to the next one; ``complete`` is the wait for the series, ``queue`` that for a worker.
    """
    names = {("series", "receiving"): "complete", ("job", "queued"): "queue", ("job", "encoded"): "deliver"}
    steps: list[tuple[str, datetime]] = []
    for event in trail:
        if event["code"] == "stage":
            steps.append((event["detail"]["stage"], event["at"]))
        elif (event["subject"], event["to_state"]) in names and event["from_state"] != event["to_state"]:
            steps.append((names[event["subject"], event["to_state"]], event["at"]))
        elif event["to_state"] in ENDED and event["subject"] == "job":
            steps.append(("", event["at"]))
    return {name: round((after - at).total_seconds(), 2) for (name, at), (_, after) in pairwise(steps) if name}
