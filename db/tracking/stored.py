"""Which files wait to be copied into the object store, where rows say that copies lie, and what came home from there.

A copy counts from the moment its row has its URL until its file has come home, or was sent again.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from db.errors import UnknownSubject
from db.tables import Instance, Job, Output, Series
from db.tracking.events import Change, append, lock_series
from db.tracking.result_files import OVER
from db.tracking.retention import Retention, is_over, present

IMAGES_STORED, RESULTS_STORED = "images_stored", "results_stored"
FETCHED, RESULTS_FETCHED = "fetched", "results_fetched"


@dataclass(frozen=True)
class KeptFile:
    """A file as its row names it: the SHA-256 of an image is that of its data set, of a result of the whole file."""

    path: Path
    digest: str


@dataclass(frozen=True)
class KeptImages:
    """Images of a series, by row."""

    study_uid: str
    files: Mapping[int, KeptFile]


@dataclass(frozen=True)
class StoredSeries:
    """What of a series lies in the store, results by job and key; ``lost`` images left the spool without a copy."""

    images: KeptImages
    results: Mapping[tuple[int, str], Sequence[KeptFile]]
    lost: int


def series_to_store(
    session: Session, retention: Retention, now: datetime, after: str, limit: int = 100
) -> Sequence[str]:
    """Return series whose time is over and of which images have no copy, in order of UID, those after a UID."""
    waits = present().where(Instance.stored_as.is_(None))
    query = select(Series.uid).where(is_over(retention, now), waits, Series.uid > after)
    return session.scalars(query.order_by(Series.uid).limit(limit)).all()


def images_to_store(session: Session, series_uid: str) -> KeptImages:
    """Return the images of a series that are here and have no copy."""
    return _images(session, series_uid, Instance.removed_at.is_(None), Instance.stored_as.is_(None))


def images_stored(session: Session, series_uid: str, urls: Mapping[int, str], change: Change) -> int:
    """Note where copies of images lie, unless that was noted meanwhile; return of how many."""
    lock_series(session, series_uid)
    here = (Instance.series_uid == series_uid, Instance.removed_at.is_(None), Instance.stored_as.is_(None))
    images = [one for one in session.scalars(select(Instance).where(*here)) if one.id in urls]
    for image in images:
        image.stored_as = urls[image.id]
    if images:
        series = session.get_one(Series, series_uid, populate_existing=True)
        folder = urls[images[0].id].rpartition("/")[0]
        noted = Change(change.who, change.now, IMAGES_STORED, {"images": len(images), "store": folder})
        append(session, series, (series.state, series.state), noted)
    return len(images)


def result_digests(session: Session, job_id: int) -> Mapping[str, str]:
    """Return the SHA-256 of each file of a job, by name."""
    return {file.path.name: file.digest for file in _results(session, job_id)}


def results_stored(session: Session, job_id: int, url: str, files: int, change: Change) -> bool:
    """Note the folder where copies of a job's files lie; False where that was noted, or the job goes on."""
    job = session.get_one(Job, job_id)
    lock_series(session, job.series_uid)
    session.refresh(job)
    if job.state not in OVER or job.stored_as is not None:
        return False
    job.stored_as = url
    noted = Change(change.who, change.now, RESULTS_STORED, {"files": files, "store": url})
    append(session, job, (job.state, job.state), noted)
    return True


def stored(session: Session, series_uid: str) -> StoredSeries:
    """Return what of a series lies in the store. Raises UnknownSubject."""
    if session.get(Series, series_uid) is None:
        raise UnknownSubject(f"series {series_uid} is unknown here: no image of it was registered")
    jobs = select(Job.id, Job.key).where(Job.series_uid == series_uid, Job.stored_as.is_not(None)).order_by(Job.id)
    left = _images(session, series_uid, Instance.removed_at.is_not(None), Instance.stored_as.is_(None))
    return StoredSeries(
        images=_images(session, series_uid, Instance.stored_as.is_not(None)),
        results={(job_id, key): _results(session, job_id) for job_id, key in session.execute(jobs)},
        lost=len(left.files),
    )


def fetched(session: Session, series_uid: str, images: Collection[int], jobs: Collection[int], change: Change) -> None:
    """Note that files have come home: their retention begins anew, and their copies do not count any more."""
    lock_series(session, series_uid)
    own = select(Instance).where(Instance.series_uid == series_uid, Instance.stored_as.is_not(None))
    home = [one for one in session.scalars(own) if one.id in images]
    over = select(Job).where(Job.series_uid == series_uid, Job.stored_as.is_not(None)).order_by(Job.id)
    measured = [one for one in session.scalars(over) if one.id in jobs]
    if not home and not measured:
        return
    for image in home:
        image.removed_at, image.stored_as = None, None
    series = session.get_one(Series, series_uid, populate_existing=True)
    series.fetched_at = change.now
    noted = Change(change.who, change.now, FETCHED, {"images": len(home), "jobs": [job.id for job in measured]})
    append(session, series, (series.state, series.state), noted)
    for job in measured:
        job.stored_as = None
        append(session, job, (job.state, job.state), Change(change.who, change.now, RESULTS_FETCHED))


def _images(session: Session, series_uid: str, *conditions: ColumnElement[bool]) -> KeptImages:
    rows = select(Instance.id, Instance.path, Instance.digest).where(Instance.series_uid == series_uid, *conditions)
    files = {id_: KeptFile(Path(path), digest) for id_, path, digest in session.execute(rows.order_by(Instance.id))}
    return KeptImages(session.get_one(Series, series_uid).study_uid, files)


def _results(session: Session, job_id: int) -> Sequence[KeptFile]:
    rows = select(Output.path, Output.digest).where(Output.job_id == job_id).order_by(Output.id)
    return [KeptFile(Path(path), digest) for path, digest in session.execute(rows)]
