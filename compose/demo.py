"""The main job end to end on one machine, with nothing to install beside the package."""

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session, sessionmaker

from compose import demo_folder, demo_site, folders
from compose.demo_folder import Look
from compose.demo_site import POLL_S
from compose.errors import DemoFailed
from compose.patterns import PATTERNS
from db import audit
from db.audit import SeriesStatus
from db.engine import open_database
from db.states import JobState, SeriesState
from dicom_node import scheduling
from dicom_node.scp.archive import Archive
from dicom_node.settings import NodeSettings
from dicom_node.spool import part10
from worker.analysis import quantify
from worker.analysis.records import Assessment, Quantity, Region
from worker.delivery import dicom
from worker.phantom.chest_ct import PhantomSpec, render
from worker.phantom.dicom_series import PhantomIdentity, write_series

ARCHIVE_AE = "ARCHIVE"
JOB_TIMEOUT_S = 1800.0
# Nothing more is sent, so what was left out or is short of images stays so.
UNMEASURED = frozenset({SeriesState.SKIPPED, SeriesState.INCOMPLETE})
ENDED = frozenset({JobState.DELIVERED, JobState.REJECTED, JobState.REVIEW, JobState.FAILED})
VOLUME_TOLERANCE_PCT, EXTENT_TOLERANCE_POINTS = 3.0, 5.0
PHANTOM = PhantomSpec(
    seed=20260101, shape=(110, 512, 512), spacing_mm=(2.5, 0.7, 0.7), extent_pct=20.0, reticulation_share=0.5
)
NAMES = {Region.TOTAL: "total extent"} | {Region(name): words for name, words in PATTERNS.items()}
Report = Callable[[str], None]


@dataclass(frozen=True)
class Measured:
    """One series: where it stands, its audit row (empty where it was not measured), its events, oldest first."""

    status: SeriesStatus
    row: dict[str, Any]
    trail: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """Return its part of what ``scleroscan demo --json`` prints."""
        return {
            "series_uid": self.status.series_uid,
            "seg_uid": self.row.get("seg_uid"),
            "sr_uid": self.row.get("sr_uid"),
            "state": self.status.state,
            "code": self.status.code,
            "lung_volume_ml": self.row.get("lung_volume_ml"),
            "extent_pct": {name: self.row.get(f"{name}_extent_pct") for name in NAMES},
            "seconds": stage_seconds(self.trail),
        }


@dataclass(frozen=True)
class Comparison:
    """One number beside the truth; ``tolerance`` says how near it has to be."""

    name: str
    measured: float
    true: float
    unit: str
    tolerance: str
    is_near: bool


@dataclass(frozen=True)
class Outcome:
    """What the demo has to show.

    ``home`` is the folder of this run; ``series`` are all that the images' folder held; ``truth`` is the phantom's own
    assessment, None for images of the user's; ``looks`` are the files of the results, ``archived`` the number of those
    that the archive took; ``no_dicom`` the number of files left out; ``seconds`` the time that preparing and sending
    took, and each stage of the first series.
    """

    home: Path
    series: tuple[Measured, ...]
    truth: Assessment | None
    looks: tuple[Look, ...]
    archived: int
    no_dicom: int
    seconds: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """Return the object that ``scleroscan demo --json`` prints."""
        return {
            "series": [one.as_json() for one in self.series],
            "no_dicom": self.no_dicom,
            "seconds": self.seconds,
        }

    @property
    def is_delivered(self) -> bool:
        """Whether what was to be measured was measured and delivered; a series that a rule skips does not count."""
        states = [one.status.state for one in self.series if one.status.state != SeriesState.SKIPPED]
        return bool(states) and all(state == JobState.DELIVERED for state in states)

    @property
    def agrees(self) -> bool:
        """Whether the numbers are as near to the truth as this phantom demands; true where no truth is known."""
        return self.truth is None or all(row.is_near for row in self.comparison())

    def comparison(self) -> list[Comparison]:
        """Return each number of the phantom beside its truth; nothing where no truth is known."""
        if self.truth is None or not self.series or not self.series[0].row:
            return []
        return list(_beside(self.series[0].row, self.truth))


def _beside(row: dict[str, Any], truth: Assessment) -> Iterator[Comparison]:
    volume, true_volume = row["lung_volume_ml"], truth.value(Region.LUNG, Quantity.VOLUME)
    near = abs(volume / true_volume - 1) * 100 <= VOLUME_TOLERANCE_PCT
    yield Comparison("lung volume", volume, true_volume, "ml", f"{VOLUME_TOLERANCE_PCT:g} %", near)
    for region, name in NAMES.items():
        measured, true = row[f"{region}_extent_pct"], truth.value(region, Quantity.EXTENT)
        near = abs(measured - true) <= EXTENT_TOLERANCE_POINTS
        yield Comparison(name, measured, true, "%", f"{EXTENT_TOLERANCE_POINTS:g} points", near)


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
        report("a chest CT with disease of known extent: computed once, and kept")
        dicom_dir, truth = demo_folder.phantom(folder, PHANTOM, _phantom_series)
    paths, others = folders.dicom_below(dicom_dir)
    if not paths:
        raise DemoFailed("the folder holds no DICOM file: name one with the images of a CT series")
    series_uids = list(dict.fromkeys(part10.read_file(path).header.uid("SeriesInstanceUID") for path in paths))
    prepared = time.monotonic()
    archive = Archive(home / "archive", ae_title=ARCHIVE_AE, port=0)
    with archive, demo_site.running(home, f"dicom://{ARCHIVE_AE}@127.0.0.1:{archive.port}") as listener:
        beside = f"; {len(others)} other files are no DICOM" if others else ""
        several = f" of {len(series_uids)} series" if len(series_uids) > 1 else ""
        report(f"sending {len(paths)} images{several} to {listener}{beside}")
        sending = time.monotonic()
        dicom.store(paths, listener, "SCANNER")
        sent = time.monotonic()
        sessions = open_database(demo_site.db_url(home))
        measured = _measured(sessions, _follow(sessions, series_uids, report))
        looks = tuple(demo_folder.lay_out(home, sessions, series_uids, scheduling.retention(NodeSettings())))
        sessions.kw["bind"].dispose()
    demo_folder.write_settings(home, demo_site.settings(home, listener))
    seconds = {"prepare": round(prepared - started, 2), "send": round(sent - sending, 2)}
    seconds |= stage_seconds(measured[0].trail)
    return Outcome(home, measured, truth, looks, len(list(archive.instances())), len(others), seconds)


def _phantom_series(folder: Path) -> Assessment:
    phantom = render(PHANTOM)
    write_series(phantom, folder, PhantomIdentity())
    return quantify.assess(phantom.volume, phantom.lungs, phantom.patterns)


def _measured(sessions: sessionmaker[Session], ended: list[SeriesStatus]) -> tuple[Measured, ...]:
    with sessions.begin() as session:
        return tuple(
            Measured(
                one,
                next(iter(audit.results(session, one.series_uid)), {}),
                audit.trail(session, one.series_uid),
            )
            for one in ended
        )


def _follow(sessions: sessionmaker[Session], series_uids: Collection[str], report: Report) -> list[SeriesStatus]:
    """Report each change of state or stage until all series have ended; return where they stand, in order."""
    deadline, shown = time.monotonic() + JOB_TIMEOUT_S, dict.fromkeys(series_uids, "")
    while time.monotonic() < deadline:
        with sessions.begin() as session:
            rows = [row for uid in series_uids for row in audit.status(session, uid)]
        for row in rows:
            now_at = row.stage or row.state
            if now_at != shown[row.series_uid]:
                shown[row.series_uid] = now_at
                report(f"{row.series_uid[-8:]}: {now_at}" if len(series_uids) > 1 else now_at)
        if len(rows) == len(series_uids) and all(row.state in ENDED | UNMEASURED for row in rows):
            return rows
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
