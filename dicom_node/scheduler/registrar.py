"""Spooled files → instance rows, in batches."""

import hashlib
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path

from pydicom import Dataset, dcmread
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.engine import is_of_the_values
from db.image_plane import ImagePlane
from db.tracking import Arrival
from dicom_node.errors import UNPARSEABLE, StudyConflict, UnreadableInstance
from dicom_node.spool.folder import Spool, SpooledName
from dicom_node.spool.image import check_uid

logger = logging.getLogger(__name__)
BATCH = 200
# What completeness and the rows need; parsing stops before the pixels.
TAGS = (
    "SpecificCharacterSet",
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "StudyInstanceUID",
    "PatientID",
    "PatientName",
    "AccessionNumber",
    "StudyDate",
    "Modality",
    "SeriesDescription",
    "ImageType",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "Rows",
    "Columns",
)


Waiting = tuple[Path, Arrival]


class Registrar:
    """Registers what waits in the spool. Running it again on the same files changes nothing."""

    def __init__(self, spool: Spool, sessions: sessionmaker[Session]) -> None:
        self._spool = spool
        self._sessions = sessions

    def run(self, now: datetime) -> int:
        """Register what waits, oldest first and in batches, and return how many files there were.

        A file is settled only after its row is committed; a crash in between leaves it to be registered again.
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
            # One image that the database does not take must not hold back those of everybody else.
            for pair in batch:
                self._register_alone(pair, now)

    def _register_alone(self, pair: Waiting, now: datetime) -> None:
        try:
            self._commit([pair], now)
        except StatementError as error:
            if not is_of_the_values(error):
                raise
            self._set_aside(pair[0], error)

    def _commit(self, batch: Sequence[Waiting], now: datetime) -> None:
        if not batch:
            return
        with self._sessions.begin() as session:
            strangers = tracking.register(session, [arrival for _, arrival in batch], now).strangers
        registered = [pair for pair in batch if pair[1] not in strangers]
        for path, arrival in registered:
            self._spool.settle(path, Path(arrival.path))
        self._spool.sync_settled(Path(arrival.path) for _, arrival in registered)
        for path in [path for path, arrival in batch if arrival in strangers]:
            self._set_aside(path, StudyConflict())

    def _read(self, path: Path) -> Waiting | None:
        try:
            return path, _arrival(path, self._spool)
        except (*UNPARSEABLE, UnreadableInstance) as error:
            self._set_aside(path, error)
            return None

    def _set_aside(self, path: Path, error: Exception) -> None:
        refused = self._spool.refuse(path)
        # Neither message nor trace: both may show values of the header.
        logger.error("spooled file set aside", extra={"path": str(refused), "error": type(error).__name__})


def _arrival(path: Path, spool: Spool) -> Arrival:
    header = dcmread(path, stop_before_pixels=True, specific_tags=list(TAGS))
    meta = header.file_meta
    named = SpooledName.from_waiting(path)
    name = SpooledName(str(header.SOPInstanceUID), named.digest if named else _digest(path, header))
    stat = path.stat()
    for uid in (header.SOPInstanceUID, header.SOPClassUID, header.StudyInstanceUID, meta.TransferSyntaxUID):
        check_uid(str(uid))
    return Arrival(
        sop_uid=str(header.SOPInstanceUID),
        sop_class=str(header.SOPClassUID),
        series_uid=str(header.SeriesInstanceUID),
        study_uid=str(header.StudyInstanceUID),
        digest=name.digest,
        size_bytes=stat.st_size,
        received_at=datetime.fromtimestamp(stat.st_mtime, UTC),
        calling_ae=str(meta.get("SendingApplicationEntityTitle", "")),
        receiving_ae=str(meta.get("ReceivingApplicationEntityTitle", "")),
        transfer_syntax=str(meta.TransferSyntaxUID),
        path=str(spool.settled_path(name, str(header.SeriesInstanceUID))),
        patient_id=_text(header, "PatientID"),
        patient_name=_text(header, "PatientName"),
        accession_number=_text(header, "AccessionNumber"),
        study_date=_text(header, "StudyDate"),
        modality=_text(header, "Modality"),
        series_description=_text(header, "SeriesDescription"),
        plane=plane_of(header),
    )


def _digest(path: Path, header: Dataset) -> str:
    """SHA-256 of the data set: what follows the 132 bytes of preamble and the 12 + length of the meta group."""
    start = 132 + 12 + int(header.file_meta.FileMetaInformationGroupLength)
    with path.open("rb") as file:
        file.seek(start)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _text(header: Dataset, keyword: str) -> str:
    try:
        text = str(header.get(keyword) or "")
    except UNPARSEABLE:
        return ""
    # Postgres takes no NUL, which some devices pad with, and no half of a surrogate pair.
    return text.replace("\0", "").encode(errors="replace").decode()


def plane_of(header: Dataset) -> ImagePlane | None:
    """Return the image plane; None where it is absent or is no geometry, which the reading gate will refuse."""
    try:
        orientation = [float(v) for v in header.get("ImageOrientationPatient") or ()]
        position = [float(v) for v in header.get("ImagePositionPatient") or ()]
        rows, columns = int(header.get("Rows") or 0), int(header.get("Columns") or 0)
        image_type = tuple(str(v) for v in header.get("ImageType") or ())
    except (*UNPARSEABLE, OverflowError):
        return None
    if len(orientation) != 6 or len(position) != 3 or not all(map(isfinite, (*orientation, *position))):
        return None
    rx, ry, rz, cx, cy, cz = orientation
    x, y, z = position
    return ImagePlane((rx, ry, rz, cx, cy, cz), (x, y, z), rows, columns, image_type)
