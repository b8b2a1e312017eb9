"""Registers spooled files: reads their headers and writes instance rows, in batches."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.engine import is_of_the_values
from db.tracking import Arrival
from dicom_node.errors import UNPARSEABLE, IdentityConflict, ReceiveError, StudyConflict
from dicom_node.scheduler import headers
from dicom_node.spool import part10
from dicom_node.spool.folder import Spool, SpooledName

logger = logging.getLogger(__name__)
BATCH = 200
REFUSED_BY_DATABASE = "refused_by_database"
Waiting = tuple[Path, Arrival]


class Registrar:
    """Registers the files that wait in the spool; a second run on the same files changes nothing."""

    def __init__(self, spool: Spool, sessions: sessionmaker[Session], may_correct_patients: bool = True) -> None:
        self._spool = spool
        self._may_correct_patients = may_correct_patients
        self._sessions = sessions

    def run(self, now: datetime) -> int:
        """Register the waiting files, oldest first and in batches, and return how many there were.

        A file is moved only after its row is committed; after a crash in between it is registered once more.
        """
        waiting = self._spool.waiting()
        for start in range(0, len(waiting), BATCH):
            self._register([pair for path in waiting[start : start + BATCH] if (pair := self._read(path))], now)
        return len(waiting)

    def _register(self, batch: Sequence[Waiting], now: datetime) -> None:
        try:
            self._commit(batch, now)
        except StatementError as error:
            if not is_of_the_values(error):
                raise
            # One by one, so that a single image that the database refuses does not hold back the others.
            for pair in batch:
                self._register_alone(pair, now)

    def _register_alone(self, pair: Waiting, now: datetime) -> None:
        try:
            self._commit([pair], now)
        except StatementError as error:
            if not is_of_the_values(error):
                raise
            self._set_aside(pair[0], REFUSED_BY_DATABASE, error)

    def _commit(self, batch: Sequence[Waiting], now: datetime) -> None:
        if not batch:
            return
        with self._sessions.begin() as session:
            arrivals = [arrival for _, arrival in batch]
            done = tracking.register(session, arrivals, now, self._may_correct_patients)
        aside: dict[Arrival, ReceiveError] = {arrival: StudyConflict() for arrival in done.strangers}
        aside |= {arrival: IdentityConflict() for arrival in done.conflicting}
        registered = [pair for pair in batch if pair[1] not in aside]
        for path, arrival in registered:
            self._spool.settle(path, Path(arrival.path))
        self._spool.sync_settled(Path(arrival.path) for _, arrival in registered)
        for path, error in [(path, aside[arrival]) for path, arrival in batch if arrival in aside]:
            self._set_aside(path, error.code, error)

    def _read(self, path: Path) -> Waiting | None:
        try:
            return path, _arrival(path, self._spool)
        except FileNotFoundError:
            # Another scheduler registered it: two may work for a moment, when one takes over from the other.
            return None
        except ReceiveError as error:
            self._set_aside(path, error.code, error)
        except UNPARSEABLE as error:
            self._set_aside(path, ReceiveError.code, error)
        return None

    def _set_aside(self, path: Path, code: str, error: Exception) -> None:
        refused = self._spool.refuse(path, code)
        # Without message and trace of the error: both may show values of the header.
        facts = {"path": str(refused), "code": code, "error": type(error).__name__}
        logger.error("spooled file set aside", extra=facts)


def _arrival(path: Path, spool: Spool) -> Arrival:
    found = part10.read_file(path, headers.ROW_TAGS)
    identity, header = found.identity(), found.header
    identity.require_ct()
    name = SpooledName.of_file(identity.sop_uid, path, found.start)
    stat = path.stat()
    return Arrival(
        sop_uid=identity.sop_uid,
        sop_class=identity.sop_class,
        series_uid=identity.series_uid,
        study_uid=identity.study_uid,
        digest=name.digest,
        size_bytes=stat.st_size,
        received_at=datetime.fromtimestamp(stat.st_mtime, UTC),
        calling_ae=found.meta.text("SendingApplicationEntityTitle"),
        receiving_ae=found.meta.text("ReceivingApplicationEntityTitle"),
        transfer_syntax=found.transfer_syntax,
        path=str(spool.settled_path(name, identity.series_uid)),
        patient_id=header.text("PatientID"),
        # Some devices write "=" for the two component groups that they leave empty (PS3.5 6.2.1).
        patient_name=header.text("PatientName").rstrip("="),
        accession_number=header.text("AccessionNumber"),
        study_date=header.text("StudyDate"),
        modality=header.text("Modality"),
        series_description=header.text("SeriesDescription"),
        plane=headers.plane_of(header),
    )
