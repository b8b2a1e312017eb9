"""Judges storage commitment requests: is each image that a request names kept, in a row and on the disk?"""

import logging
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.commitment import CommitmentRequest, SOPReference
from dicom_node.commitment.mailbox import Mailbox

logger = logging.getLogger(__name__)
# Failure reasons of single images (PS3.3 C.14.1.1).
NO_SUCH_OBJECT, CLASS_INSTANCE_CONFLICT, PROCESSING_FAILURE = 0x0112, 0x0119, 0x0110


class CommitmentJudge:
    """Compares commitment requests with rows and files.

    ``callers_who_listen`` are answered at their address; all others on the association of their request.
    """

    def __init__(
        self, mailbox: Mailbox, sessions: sessionmaker[Session], callers_who_listen: Collection[str] = ()
    ) -> None:
        self._mailbox = mailbox
        self._sessions = sessions
        self._callers_who_listen = frozenset(callers_who_listen)

    def waiting(self) -> list[Path]:
        """Return the requests to judge. Call it before images are registered, and :meth:`run` after.

        The images of a request were durable before the request was, so by then all of them have their rows.
        """
        return self._mailbox.waiting()

    def run(self, waiting: list[Path], now: datetime) -> None:
        """Judge requests and write the outcome to their rows."""
        for path in waiting:
            try:
                request = self._mailbox.read(path)
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                # If the file stayed, it would fail again first at every tick, and no request behind it would be judged.
                path.rename(path.with_suffix(".refused"))
                logger.error("commitment request set aside", extra={"path": str(path), "error": type(error).__name__})  # noqa: TRY400  nothing to trace
                continue
            self._judge(request, now)
            with suppress(FileNotFoundError):
                path.unlink()

    def _judge(self, request: CommitmentRequest, now: datetime) -> None:
        with self._sessions.begin() as session:
            kept = tracking.kept_instances(session, [named.sop_uid for named in request.references])
            failures = {named.sop_uid: reason for named in request.references if (reason := _failure(kept, named))}
            tracking.record_commitment(session, request, failures, now)
            answer = tracking.open_answer(session, request.calling_ae, request.transaction_uid)
        if answer is not None and request.calling_ae not in self._callers_who_listen:
            self._mailbox.post(request, answer)
        facts: dict[str, object] = {"transaction_uid": request.transaction_uid, "calling_ae": request.calling_ae}
        facts |= {"images": len(request.references), "failed": len(failures)}
        logger.info("commitment judged", extra=facts)


def _failure(kept: dict[str, list[tuple[str, str]]], named: SOPReference) -> int | None:
    """Return the Failure Reason of an image that is not kept; None where it is, in a row and on the disk."""
    found = kept.get(named.sop_uid)
    if not found:
        return NO_SUCH_OBJECT
    of_class = [path for held_class, path in found if held_class == named.sop_class]
    if not of_class:
        return CLASS_INSTANCE_CONFLICT
    return None if any(Path(path).is_file() for path in of_class) else PROCESSING_FAILURE
