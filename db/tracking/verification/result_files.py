"""Compares the files of results with their digests."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from db.tracking.seal import RESULTS_HASH
from db.tracking.verification.rows import SeriesRows

RESULTS_REMOVED = "results_removed"


def faults(rows: SeriesRows) -> Iterator[str]:
    """Yield a sentence for each file that was changed or cannot be read; those removed after their time are none."""
    codes = {event.subject_id: event.code for event in rows.events if event.subject == "job"}
    sealed = {event.subject_id for event in rows.events if RESULTS_HASH in event.detail}
    for job in rows.jobs:
        if codes.get(str(job.id)) == RESULTS_REMOVED and str(job.id) in sealed:
            continue
        for output in sorted(rows.results[job.id].outputs, key=lambda one: int(one.id)):
            # Earlier versions wrote paths relative to a folder that is not known here.
            path = Path(output.path)
            if path.is_absolute() and (said := _of_file(path, output.digest)):
                yield f"the {output.kind} of job {job.id} {said}"


def _of_file(path: Path, digest: str) -> str | None:
    try:
        with path.open("rb") as file:
            same = hashlib.file_digest(file, "sha256").hexdigest() == digest
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None if same else "was changed after it was written"
