"""Compares the files of results with their digests."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from db.tracking.seal import RESULTS_HASH
from db.tracking.stored import RESULTS_FETCHED
from db.tracking.verification.rows import SeriesRows

RESULTS_REMOVED = "results_removed"


def faults(rows: SeriesRows) -> Iterator[str]:
    """Yield a sentence for each file that was changed or cannot be read; those removed after their time are none."""
    away = _removed(rows)
    for job in rows.jobs:
        if str(job.id) in away:
            continue
        for output in sorted(rows.results[job.id].outputs, key=lambda one: int(one.id)):
            # Earlier versions wrote paths relative to a folder that is not known here.
            path = Path(output.path)
            if path.is_absolute() and (said := _of_file(path, output.digest)):
                yield f"the {output.kind} of job {job.id} {said}"


def is_in_store(rows: SeriesRows) -> bool:
    """Whether images or results of a series have left for the object store."""
    images = any(image.stored_as and image.removed_at for image in rows.images)
    away = _removed(rows)
    return images or any(job.stored_as and str(job.id) in away for job in rows.jobs)


def _removed(rows: SeriesRows) -> set[str]:
    """Return the jobs whose files are away, after their time: those of a job without results were never there."""
    away: set[str] = set()
    for event in rows.events:
        if event.subject == "job" and event.code == RESULTS_REMOVED:
            away.add(event.subject_id)
        elif event.code == RESULTS_FETCHED or RESULTS_HASH in event.detail:
            away.discard(event.subject_id)
    return away & {event.subject_id for event in rows.events if RESULTS_HASH in event.detail}


def _of_file(path: Path, digest: str) -> str | None:
    try:
        with path.open("rb") as file:
            same = hashlib.file_digest(file, "sha256").hexdigest() == digest
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None if same else "was changed after it was written"
