"""A node with images and results whose time is over, and an object store that takes them first."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from db import audit, tracking
from db.tables import Instance, Job
from db.tracking import Change, JobIdentity, JobResults, LeaseTerms, MeasurementRow, OutputFile, Retention
from dicom_node.scheduler import cleaning
from dicom_node.scheduler.keeping import Keeper
from dicom_node.scheduler.registrar import Registrar
from dicom_node.scheduler.result_files import ResultFiles
from dicom_node.spool.folder import Spool
from tests.support.node_senders import ct_slice, encoded, header, series_uid
from tests.support.object_stores import Place

IDENTITY = JobIdentity("m" * 64, "s" * 64)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LONG_AFTER = NOW + timedelta(days=400)
RETENTION = Retention(*(timedelta(days=days) for days in (30, 7, 20, 90)), stored=True)
RESULTS = ("disease-seg.dcm", "sr.dcm", "overlay.png")


@dataclass(frozen=True)
class KeptSite:
    """The folders of a node, its rows, and where copies go."""

    spool: Spool
    results: ResultFiles
    sessions: sessionmaker[Session]
    place: Place

    def receive(self, series: int, numbers: range = range(3)) -> None:
        """Receive slices of a series and register them."""
        for number in numbers:
            ds = ct_slice(number, series)
            self.spool.keep(ds.SOPInstanceUID, header(ds.SOPInstanceUID), encoded(ds))
        Registrar(self.spool, self.sessions).run(NOW)

    def measure(self, series: int) -> int:
        """Close a series, measure it, write its results, and call them delivered to nobody; return the job."""
        uid = series_uid(series)
        with self.sessions.begin() as session:
            tracking.close_series(session, uid, "complete", "contiguous", {}, NOW)
            job_id = tracking.open_job(session, uid, IDENTITY, NOW)
            held = tracking.claim(session, job_id, "worker", LeaseTerms(60, 3), NOW)
            assert held is not None
            folder = self.results.folder / held.key
            outputs = tuple(written(folder / name) for name in RESULTS)
            numbers = (MeasurementRow("lung", "both", "whole", "volume", 4000.0, "ml"),)
            tracking.record_results(session, held, JobResults(numbers, (), outputs), (), NOW)
            job = session.get_one(Job, job_id)
            tracking.move(session, job, "delivered", Change("worker", NOW))
        return job_id

    def measure_again(self, series: int) -> None:
        """Close a series whose images were sent again, and whose job was there before."""
        with self.sessions.begin() as session:
            tracking.close_series(session, series_uid(series), "complete", "contiguous", {}, NOW)

    def done(self, *series: int) -> None:
        """Receive and measure each series."""
        for one in series:
            self.receive(one)
            self.measure(one)

    def keeper(self) -> Keeper:
        """Return what copies into the store."""
        return Keeper(self.place.store, self.sessions, self.spool, RETENTION, self.results)

    def clean(self, now: datetime = LONG_AFTER) -> int:
        """Remove what may leave, as the scheduler does; return how many files."""
        images = cleaning.clean(self.spool, self.sessions, RETENTION, now)
        return images + self.results.clean(self.sessions, now)

    def here(self) -> dict[str, str]:
        """Return the SHA-256 of each file that is here, by what its key in the store is or would be."""
        with self.sessions.begin() as session:
            rows = session.execute(select(Instance.path, Instance.series_uid)).all()
        images = {f"images/{ct_slice(0).StudyInstanceUID}/{uid}/{Path(path).name}": Path(path) for path, uid in rows}
        files = {f"results/{one.parent.name}/{one.name}": one for one in self.results.folder.glob("*/*")}
        return {key: sha256(path.read_bytes()) for key, path in (images | files).items() if path.exists()}

    def away(self) -> dict[str, str]:
        """Return the SHA-256 of each file of the store."""
        return {key: sha256(content) for key, content in self.place.content().items()}

    def codes(self, series: int) -> list[str]:
        """Return the codes of the events of a series that tell of files."""
        with self.sessions.begin() as session:
            rows = tracking.verify_series(session, series_uid(series))
            assert rows is None, rows
            return [code for code in trail(session, series) if code and ("stored" in code or "removed" in code)]


def trail(session: Session, series: int) -> list[str | None]:
    """Return the codes of all events of a series."""
    return [event["code"] for event in audit.trail(session, series_uid(series))]


def made(folder: Path, sessions: sessionmaker[Session], place: Place) -> KeptSite:
    """Make the folders of a node."""
    spool = Spool(folder / "spool")
    spool.prepare()
    return KeptSite(spool, ResultFiles(folder / "results", timedelta(days=365), stored=True), sessions, place)


def written(path: Path) -> OutputFile:
    """Write a file of a result, and return its row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = f"{path.parent.name} {path.name}".encode() * 99
    path.write_bytes(content)
    kind = "picture" if path.suffix == ".png" else path.stem.rpartition("-")[2]
    uid = None if kind == "picture" else f"2.25.{len(path.name)}{int(path.parent.name[:8], 16)}"
    return OutputFile(kind, str(path), sha256(content), uid)


def sha256(content: bytes) -> str:
    """Return the SHA-256 as rows have it."""
    return hashlib.sha256(content).hexdigest()
