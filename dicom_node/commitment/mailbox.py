"""Storage commitment between the processes of a node: files below the spool's ``commitments/``.

A listener puts requests, the scheduler judges them. What has to be answered on the association of the request is posted
back as ``answers/<name>.json``, which the listener renames to ``.answered`` once the modality has taken it.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from db.commitment import CommitmentAnswer, CommitmentRequest, SOPOutcome, SOPReference
from dicom_node.spool.folder import Spool, sync_folder


class Mailbox:
    """Requests that were acknowledged and are not judged yet, durable like the images, and answers to some of them."""

    def __init__(self, spool: Spool) -> None:
        self._requests = spool.root / "commitments"
        self._answers = self._requests / "answers"

    def put(self, request: CommitmentRequest) -> None:
        """Keep a request; when this returns, no power cut loses it. Raises OSError where the disk does not take it."""
        self._requests.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(self._requests / _name(request), asdict(request))
        sync_folder(self._requests)

    def waiting(self) -> list[Path]:
        """Return the files of the requests, oldest first."""
        found = list(self._requests.glob("*.json")) if self._requests.is_dir() else []
        return sorted(found, key=lambda path: path.stat().st_mtime_ns)

    @staticmethod
    def read(path: Path) -> CommitmentRequest:
        """Return the request in a file."""
        fields: dict[str, Any] = json.loads(path.read_text())
        fields["requested_at"] = datetime.fromisoformat(fields["requested_at"])
        fields["references"] = tuple(SOPReference(*pair) for pair in fields["references"])
        return CommitmentRequest(**fields)

    def post(self, request: CommitmentRequest, answer: CommitmentAnswer) -> None:
        """Give an answer to the listener that holds the association of its request."""
        self._answers.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(self._answers / _name(request), asdict(answer))

    def answer(self, request: CommitmentRequest) -> CommitmentAnswer | None:
        """Return the answer to a request; None while it is not judged."""
        try:
            fields: dict[str, Any] = json.loads((self._answers / _name(request)).read_text())
        except FileNotFoundError:
            return None
        fields["requested_at"] = datetime.fromisoformat(fields["requested_at"])
        fields["outcomes"] = tuple(SOPOutcome(*triple) for triple in fields["outcomes"])
        return CommitmentAnswer(**fields)

    def taken(self, request: CommitmentRequest) -> None:
        """Note that the modality took the answer."""
        path = self._answers / _name(request)
        with suppress(FileNotFoundError):
            path.rename(path.with_suffix(".answered"))

    def answered(self) -> Iterator[tuple[int, Path]]:
        """Yield (commitment id, file) of every answer that was taken; the caller removes the file once it is noted."""
        for path in self._answers.glob("*.answered") if self._answers.is_dir() else ():
            yield int(json.loads(path.read_text())["commitment_id"]), path

    def withdraw(self, answer: CommitmentAnswer) -> None:
        """Remove an answer that nobody took."""
        (self._answers / _file_name(answer.transaction_uid, answer.calling_ae)).unlink(missing_ok=True)


def _name(request: CommitmentRequest) -> str:
    return _file_name(request.transaction_uid, request.calling_ae)


def _file_name(transaction_uid: str, calling_ae: str) -> str:
    # An AE title may hold any printable character, so it is no part of a path.
    return f"{transaction_uid}-{hashlib.sha256(calling_ae.encode()).hexdigest()[:16]}.json"


def _write(target: Path, fields: dict[str, Any]) -> None:
    part = target.with_suffix(f".{os.urandom(8).hex()}.part")
    with part.open("x") as file:
        json.dump(fields, file, default=lambda time: time.isoformat())
        file.flush()
        os.fsync(file.fileno())
    part.rename(target)
