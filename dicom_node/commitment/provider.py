"""Storage commitment requests of modalities (PS3.4 Annex J): taken, made durable, judged against the rows."""

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any, cast

from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.dimse_primitives import N_ACTION
from pynetdicom.pdu_primitives import A_ASSOCIATE
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.tracking import CommitmentRequest
from dicom_node.commitment.report import COMMITMENT_INSTANCE, answer_on
from dicom_node.commitment.same_association import SameAssociation
from dicom_node.errors import UNPARSEABLE, UnreadableInstance
from dicom_node.spool.folder import Spool, sync_folder
from dicom_node.spool.image import check_uid

logger = logging.getLogger(__name__)
REQUEST_COMMITMENT = 1
MOST_REFERENCES = 100_000
# Statuses of N-ACTION (PS3.7 10.1.4.1.10).
SUCCESS, NO_SUCH_INSTANCE, INVALID_ARGUMENT, NO_SUCH_ACTION, RESOURCE_LIMITATION = (
    0x0000,
    0x0112,
    0x0115,
    0x0123,
    0x0213,
)
# Failure reasons of single images (PS3.3 C.14.1.1).
NO_SUCH_OBJECT, CLASS_INSTANCE_CONFLICT, PROCESSING_FAILURE = 0x0112, 0x0119, 0x0110


class CommitmentQueue:
    """Requests that were acknowledged and are not judged yet: one file each, durable like the images."""

    def __init__(self, spool: Spool) -> None:
        self._folder = spool.root / "commitments"

    def put(self, request: CommitmentRequest) -> None:
        """Keep a request; when this returns, no power cut loses it. Raises OSError where the disk does not take it."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # An AE title may hold any printable character, so it is no part of a path.
        caller = hashlib.sha256(request.calling_ae.encode()).hexdigest()[:16]
        target = self._folder / f"{request.transaction_uid}-{caller}.json"
        part = target.with_suffix(f".{os.urandom(8).hex()}.part")
        with part.open("x") as file:
            json.dump(asdict(request), file, default=lambda time: time.isoformat())
            file.flush()
            os.fsync(file.fileno())
        part.rename(target)
        sync_folder(self._folder)

    def waiting(self) -> list[Path]:
        """Return the files of the requests, oldest first."""
        found = [path for path in self._folder.glob("*.json")] if self._folder.is_dir() else []
        return sorted(found, key=lambda path: path.stat().st_mtime_ns)

    @staticmethod
    def read(path: Path) -> CommitmentRequest:
        """Return the request in a file."""
        fields: dict[str, Any] = json.loads(path.read_text())
        fields["requested_at"] = datetime.fromisoformat(fields["requested_at"])
        fields["references"] = tuple((uid, sop_class) for uid, sop_class in fields["references"])
        return CommitmentRequest(**fields)


class CommitmentProvider:
    """Answers N-ACTION of one listener.

    The answer to it says only that the request is kept. What is held of it is told by N-EVENT-REPORT: on the same
    association while that is open, unless the caller has an address of its own to take it.
    """

    def __init__(self, queue: CommitmentQueue, sessions: sessionmaker[Session], callers_who_listen: set[str]) -> None:
        self._queue = queue
        self._sessions = sessions
        self._callers_who_listen = callers_who_listen

    def handlers(self) -> list[tuple[object, object]]:
        """Return the pairs (event, handler) as pynetdicom wants them."""
        return [(evt.EVT_N_ACTION, self.requested)]

    def requested(self, event: evt.Event) -> tuple[int, None]:
        """Keep a request and answer 0x0000 once it is durable."""
        asked = cast(N_ACTION, event.request)
        if asked.RequestedSOPInstanceUID != COMMITMENT_INSTANCE:
            return NO_SUCH_INSTANCE, None
        if event.action_type != REQUEST_COMMITMENT:
            return NO_SUCH_ACTION, None
        try:
            request = _request(event)
            self._queue.put(request)
        except (*UNPARSEABLE, UnreadableInstance) as error:
            refused = RESOURCE_LIMITATION if isinstance(error, OSError) else INVALID_ARGUMENT
            facts = {"status": f"0x{refused:04X}", "error": type(error).__name__}
            logger.warning("commitment request refused", extra=facts)
            return refused, None
        if request.calling_ae not in self._callers_who_listen:
            # Its own thread: the answer to N-ACTION has to leave first, and images may follow it.
            same = SameAssociation(event.assoc)
            Thread(target=answer_on, args=(same, self._sessions, request), daemon=True).start()
        return SUCCESS, None


def _request(event: evt.Event) -> CommitmentRequest:
    """Read the Action Information. Raises UnreadableInstance, or one of UNPARSEABLE, where it is none."""
    asked: Dataset = event.action_information
    transaction_uid = str(asked.TransactionUID)
    references = tuple(_references(asked))
    if not 0 < len(references) <= MOST_REFERENCES:
        raise UnreadableInstance("a commitment request names no image, or too many")
    for uid in (transaction_uid, *(uid for pair in references for uid in pair)):
        check_uid(uid)
    return CommitmentRequest(
        transaction_uid=transaction_uid,
        calling_ae=str(event.assoc.requestor.ae_title),
        receiving_ae=str(cast(A_ASSOCIATE, event.assoc.requestor.primitive).called_ae_title),
        references=references,
        requested_at=datetime.now(UTC),
    )


def _references(asked: Dataset) -> Iterator[tuple[str, str]]:
    for item in asked.ReferencedSOPSequence:
        yield str(item.ReferencedSOPInstanceUID), str(item.ReferencedSOPClassUID)


class CommitmentJudge:
    """Compares requests with what is kept. The images of a request were acknowledged before it came."""

    def __init__(self, queue: CommitmentQueue, sessions: sessionmaker[Session]) -> None:
        self._queue = queue
        self._sessions = sessions

    def waiting(self) -> list[Path]:
        """Return the requests to judge: ask before the images are registered, judge after."""
        return self._queue.waiting()

    def run(self, waiting: list[Path], now: datetime) -> None:
        """Judge requests and keep the outcome in the rows."""
        for path in waiting:
            try:
                request = self._queue.read(path)
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                # It would come first again at every tick, and nothing after it would ever be done.
                path.rename(path.with_suffix(".refused"))
                logger.error("commitment request set aside", extra={"path": str(path), "error": type(error).__name__})  # noqa: TRY400  nothing to trace
                continue
            self._judge(request, now)
            with suppress(FileNotFoundError):
                path.unlink()

    def _judge(self, request: CommitmentRequest, now: datetime) -> None:
        with self._sessions.begin() as session:
            kept = tracking.kept_instances(session, [uid for uid, _ in request.references])
            failures = {
                uid: reason for uid, sop_class in request.references if (reason := _failure(kept, uid, sop_class))
            }
            tracking.record_commitment(session, request, failures, now)
        facts: dict[str, object] = {"transaction_uid": request.transaction_uid, "calling_ae": request.calling_ae}
        facts |= {"images": len(request.references), "failed": len(failures)}
        logger.info("commitment judged", extra=facts)


def _failure(kept: dict[str, list[tuple[str, str]]], sop_uid: str, sop_class: str) -> int | None:
    """Return why an image cannot be committed to; None where it is kept, on the disk as in the rows."""
    found = kept.get(sop_uid)
    if not found:
        return NO_SUCH_OBJECT
    of_class = [path for held_class, path in found if held_class == sop_class]
    if not of_class:
        return CLASS_INSTANCE_CONFLICT
    return None if any(Path(path).is_file() for path in of_class) else PROCESSING_FAILURE
