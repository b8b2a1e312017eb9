"""Copies images and results into the object store once their time is over, beside the scheduler.

What rows then say to lie there, and nothing else, is removed here by :mod:`cleaning` and :mod:`result_files`. A store
that is away, or holds other bytes, delays that alone.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Event

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.tracking import Change, Retention
from dicom_node.errors import BadPath, BadSetting, StoreAway, StoreFault
from dicom_node.scheduler.result_files import ResultFiles
from dicom_node.spool.folder import Spool
from dicom_node.store import layout
from dicom_node.store.store import COPIES_AT_ONCE, Store
from dicom_node.store.trouble import StoreTrouble

logger = logging.getLogger(__name__)
WHO = "dicom_node"
POLL_S, EVERY_S, AFTER_TROUBLE_S = 1.0, 300.0, 60.0
# A file here, its key in the store, and its digest.
Copy = tuple[Path, str, str]


class Stopping(Exception):
    """The process ends: what was copied by then is found the next time."""


class Keeper:
    """Copies what is due; ``open_store`` is called for each round: a store may be away when the scheduler starts."""

    def __init__(
        self,
        open_store: Callable[[], Store],
        sessions: sessionmaker[Session],
        spool: Spool,
        retention: Retention,
        results: ResultFiles | None = None,
    ) -> None:
        self._open_store, self._sessions, self._spool = open_store, sessions, spool
        self._retention, self._results = retention, results
        self._trouble = StoreTrouble(spool.root)
        self._stop = Event()

    def run(self, stop: Event, leads: Callable[[], bool]) -> None:
        """Copy what is due, again and again while this process leads, until ``stop`` is set."""
        self._stop, pause_s = stop, POLL_S
        while not stop.wait(pause_s):
            pause_s = POLL_S
            if leads():
                try:
                    pause_s = EVERY_S if self.round(datetime.now(UTC)) else AFTER_TROUBLE_S
                except SQLAlchemyError as error:
                    # As debug: the scheduler itself warns that the database is away.
                    logger.debug("nothing copied to the store", extra={"error": type(error).__name__})
                except Stopping:
                    return

    def round(self, now: datetime) -> bool:
        """Copy all that is due; return whether there was no trouble. Trouble is noted for monitor and doctor."""
        faults: list[StoreFault | BadPath | BadSetting] = []
        try:
            for keep in self._due(self._open_store(), now):
                try:
                    keep()
                except StoreAway:
                    raise
                except (StoreFault, BadPath) as fault:
                    faults.append(fault)
        except (StoreAway, BadSetting) as away:
            faults.append(away)
        if not faults:
            self._trouble.clear()
            return True
        code, said = faults[0].code, str(faults[0])
        self._trouble.note(code, said, len(faults), now)
        logger.warning("not copied to the store, so not removed", extra={"code": code, "reason": said})
        return False

    def _due(self, store: Store, now: datetime) -> Iterator[Callable[[], None]]:
        after = ""
        while True:
            with self._sessions.begin() as session:
                series = tracking.series_to_store(session, self._retention, now, after)
            if not series:
                break
            yield from (partial(self._keep_images, store, uid, now) for uid in series)
            after = series[-1]
        if self._results is not None:
            for key, job_id in self._results.over(self._sessions, now, False):
                yield partial(self._keep_results, store, self._results.folder / key, job_id, now)

    def _keep_images(self, store: Store, series_uid: str, now: datetime) -> None:
        with self._sessions.begin() as session:
            images = tracking.images_to_store(session, series_uid)
        if not all(self._spool.encloses(file.path) for file in images.files.values()):
            raise BadPath(f"images of series {series_uid} do not lie in the spool")
        folder = layout.images(images.study_uid, series_uid)
        keys = {row: f"{folder}/{file.path.name}" for row, file in images.files.items()}
        self._copy(store, [(file.path, keys[row], file.digest) for row, file in images.files.items()])
        urls = {row: store.url_of(key) for row, key in keys.items()}
        with self._sessions.begin() as session:
            count = tracking.images_stored(session, series_uid, urls, Change(WHO, now))
        logger.info("images copied to the store", extra={"series_uid": series_uid, "images": count})

    def _keep_results(self, store: Store, folder: Path, job_id: int, now: datetime) -> None:
        with self._sessions.begin() as session:
            digests = tracking.result_digests(session, job_id)
        target = layout.results(folder.name)
        self._copy(store, [(folder / name, f"{target}/{name}", digest) for name, digest in digests.items()])
        with self._sessions.begin() as session:
            tracking.results_stored(session, job_id, store.url_of(target), len(digests), Change(WHO, now))
        logger.info("results copied to the store", extra={"job_id": job_id, "files": len(digests)})

    def _copy(self, store: Store, copies: Sequence[Copy]) -> None:
        """Copy files, several at once; at the first fault those not begun are left."""
        with ThreadPoolExecutor(COPIES_AT_ONCE, thread_name_prefix="store") as threads:
            for _ in threads.map(partial(self._copy_one, store), copies):
                pass

    def _copy_one(self, store: Store, copy: Copy) -> None:
        if self._stop.is_set():
            raise Stopping
        store.keep(*copy)
