"""The command that brings images and results of a series home from the object store."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from getpass import getuser
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy.orm import Session, sessionmaker

from compose import settings
from compose.json_output import AsJson, print_json
from compose.operate import SeriesUid
from compose.screen import ERR, say
from compose.settings import SiteSettings
from db import schema, tracking
from db.tracking import Change, KeptFile, StoredSeries
from dicom_node.errors import BadPath, NotInStore
from dicom_node.spool.folder import Spool
from dicom_node.spool.incoming import PIECE, Incoming
from dicom_node.store import homecoming, layout
from dicom_node.store.opening import open_store
from dicom_node.store.store import COPIES_AT_ONCE, Store


@dataclass(frozen=True)
class Fetched:
    """Images and result files that are here again, how many of them were copied, and images that have no copy."""

    series_uid: str
    images: int
    results: int
    copied: int
    lost: int


def fetch(series_uid: SeriesUid, as_json: AsJson = False) -> None:
    """Bring images and results of a series home from the object store, each compared with its digest.

    They stay as long as they stayed before. What is here already is compared and left; to run it again changes nothing.
    """
    site = settings.load()
    store = open_store(site.node)
    sessions = schema.open_current(site.db_url)
    try:
        done = _fetch(site, store, sessions, series_uid)
    finally:
        sessions.kw["bind"].dispose()
    _tell(done, as_json)


def _fetch(site: SiteSettings, store: Store, sessions: sessionmaker[Session], series_uid: str) -> Fetched:
    with sessions.begin() as session:
        wanted = tracking.stored(session, series_uid)
    images, results = list(wanted.images.files), sum(map(len, wanted.results.values()))
    if wanted.lost and not images and not results:
        raise NotInStore(f"{wanted.lost} images of series {series_uid} left without a copy: send the series again")
    copied = _bring(list(_files(site, store, series_uid, wanted)))
    with sessions.begin() as session:
        change = Change(f"operator:{getuser()}", datetime.now(UTC))
        tracking.fetched(session, series_uid, images, [job_id for job_id, _ in wanted.results], change)
    return Fetched(series_uid, len(images), results, copied, wanted.lost)


def _files(site: SiteSettings, store: Store, series_uid: str, wanted: StoredSeries) -> Iterator[Callable[[], bool]]:
    spool = Spool(site.node.spool_dir)
    spool.prepare()
    folder = layout.images(wanted.images.study_uid, series_uid)
    for file in wanted.images.files.values():
        if not spool.encloses(file.path):
            raise BadPath(f"{file.path} does not lie in the spool")
        file.path.parent.mkdir(mode=0o700, exist_ok=True)
        yield _one(store, folder, file, file.path, lambda: spool.begin(b"", bytearray(PIECE)))
    for (_, key), files in wanted.results.items():
        home = site.worker.results_dir.absolute() / key
        for file in files:
            yield _one(store, layout.results(key), file, home / file.path.name, partial(homecoming.beside, home))


def _one(store: Store, folder: str, file: KeptFile, target: Path, begin: Callable[[], Incoming]) -> Callable[[], bool]:
    return partial(homecoming.bring, store, f"{folder}/{file.path.name}", file.digest, target, begin)


def _bring(files: list[Callable[[], bool]]) -> int:
    """Bring all, several at once, and return how many were copied; the first fault ends it."""
    columns = (TextColumn("fetching"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    copied = 0
    with Progress(*columns, console=ERR) as progress, ThreadPoolExecutor(COPIES_AT_ONCE) as threads:
        task = progress.add_task("fetch", total=len(files))
        for was_copied in threads.map(lambda one: one(), files):
            copied += was_copied
            progress.advance(task)
    return copied


def _tell(done: Fetched, as_json: bool) -> None:
    if as_json:
        print_json(asdict(done))
        return
    say(f"{done.images} images and {done.results} files of results are here, {done.copied} of them from the store")
    if done.lost:
        say(f"{done.lost} images left before they had a copy: send the series again")
