"""Storage commitment between the processes of a node: files below the spool's ``commitments/``.

What archives report on requests of ours, the listener writes to ``reports/``, and the scheduler reads there.

A listener writes each request to a file, and the scheduler judges it. Where the answer has to go over the association
of the request, the scheduler writes it to ``answers/<name>.json``; the listener sends it, and renames the file to
``.answered`` once the modality has taken it.
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

from db.commitment import CommitmentAnswer, CommitmentReport, CommitmentRequest, SOPOutcome, SOPReference
from dicom_node.spool.folder import Spool, sync_folder


class Mailbox:
    """Keeps requests as durable files until they are judged, and answers until the listener has sent them."""

    def __init__(self, spool: Spool) -> None:
        self._requests = spool.root / "commitments"
        self._answers = self._requests / "answers"
        self._reports = self._requests / "reports"

    def put(self, request: CommitmentRequest) -> None:
        """Write a request durably: no power cut loses it after this returns. Raises OSError where writing fails."""
        self._requests.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(self._requests / _name(request), asdict(request))
        sync_folder(self._requests)

    def waiting(self) -> list[Path]:
        """Return the files of the requests, oldest first."""
        found = list(self._requests.glob("*.json")) if self._requests.is_dir() else []
        return sorted(found, key=lambda path: path.stat().st_mtime_ns)

    @staticmethod
    def read(path: Path) -> CommitmentRequest:
        """Return the request that a file holds."""
        fields: dict[str, Any] = json.loads(path.read_text())
        fields["requested_at"] = datetime.fromisoformat(fields["requested_at"])
        fields["references"] = tuple(SOPReference(*pair) for pair in fields["references"])
        return CommitmentRequest(**fields)

    def put_report(self, report: CommitmentReport) -> None:
        """Write a report durably. Raises OSError where writing fails."""
        self._reports.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(self._reports / _file_name(report.transaction_uid, report.archive_ae), asdict(report))
        sync_folder(self._reports)

    def reports(self) -> list[Path]:
        """Return the files of the reports."""
        return list(self._reports.glob("*.json")) if self._reports.is_dir() else []

    @staticmethod
    def read_report(path: Path) -> CommitmentReport:
        """Return the report that a file holds."""
        fields: dict[str, Any] = json.loads(path.read_text())
        fields["outcomes"] = tuple(SOPOutcome(*triple) for triple in fields["outcomes"])
        return CommitmentReport(**fields)

    def post(self, request: CommitmentRequest, answer: CommitmentAnswer) -> None:
        """Leave an answer for the listener that holds the association of its request."""
        self._answers.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(self._answers / _name(request), asdict(answer))

    def answer(self, request: CommitmentRequest) -> CommitmentAnswer | None:
        """Return the answer to a request; None until it is judged."""
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
        """Yield (commitment id, file) of every answer that was taken; the caller updates the row, then removes it."""
        for path in self._answers.glob("*.answered") if self._answers.is_dir() else ():
            yield int(json.loads(path.read_text())["commitment_id"]), path

    def withdraw(self, answer: CommitmentAnswer) -> None:
        """Remove an answer that could not be sent in time."""
        (self._answers / _file_name(answer.transaction_uid, answer.calling_ae)).unlink(missing_ok=True)


def _name(request: CommitmentRequest) -> str:
    return _file_name(request.transaction_uid, request.calling_ae)


def _file_name(transaction_uid: str, calling_ae: str) -> str:
    # Hashed, because an AE title may hold any printable character and so is not fit for a path.
    return f"{transaction_uid}-{hashlib.sha256(calling_ae.encode()).hexdigest()[:16]}.json"


def _write(target: Path, fields: dict[str, Any]) -> None:
    part = target.with_suffix(f".{os.urandom(8).hex()}.part")
    with part.open("x") as file:
        json.dump(fields, file, default=lambda time: time.isoformat())
        file.flush()
        os.fsync(file.fileno())
    part.rename(target)
