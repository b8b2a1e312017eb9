"""The commands ``review list`` and ``review show``: results that wait for a person, and what was held back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.orm import Session

from compose import own_command, settings, status_lines
from compose.errors import Unknown
from compose.operate import JobId
from compose.screen import print_lines, say
from db import audit, schema
from db.audit import SeriesStatus, Wanted
from db.states import JobState, OutputKind
from db.tracking import result_files

MOST = 1000
MAY_BE_DONE = (
    ("release", "send it as it is"),
    ("discard", "never send it"),
    ("recompute", "compute it anew"),
)


def waiting() -> None:
    """List the results that wait for review, newest first: what was measured, and why it was held back."""
    with schema.open_current(settings.load().db_url).begin() as session:
        rows = _waiting(session)
    if not rows:
        say("no result waits for review")
        return
    print_lines(status_lines.status_lines(rows))
    say(f"one of them: {own_command.name()} review show JOB")


def show(
    job_id: JobId,
    page: Annotated[Path | None, typer.Option(help="Write the page as a PNG to this file.", dir_okay=False)] = None,
) -> None:
    """Show one result that waits for review: what was measured, why it was held back, its files, what may be done."""
    with schema.open_current(settings.load().db_url).begin() as session:
        row = next((one for one in _waiting(session) if one.job_id == job_id), None)
        outputs = result_files.output_paths(session, job_id)
    if row is None:
        raise Unknown(f"job {job_id} does not wait for review; `{own_command.name()} review list` shows those that do")
    print_lines(status_lines.status_lines([row]))
    print_lines(_below(job_id, outputs))
    if page is not None:
        say(_write(page, dict(outputs)))


def _waiting(session: Session) -> list[SeriesStatus]:
    return audit.status(session, wanted=Wanted(state=JobState.REVIEW.value, limit=MOST))


def _below(job_id: int, outputs: list[tuple[str, str]]) -> Iterator[str]:
    yield from (f"{kind}: {path}" for kind, path in outputs)
    for command, meaning in MAY_BE_DONE:
        yield f"{own_command.name()} {command} {job_id}  {meaning}"


def _write(picture: Path, paths: dict[str, str]) -> str:
    """Write the frames of the page one below the other; return what to say of it."""
    # Loaded where it is asked for: both take a second.
    from PIL import Image  # noqa: PLC0415
    from pydicom import dcmread  # noqa: PLC0415

    if OutputKind.PAGE not in paths:
        raise Unknown("this result has no page: WORKER_PAGE was false when it was made")
    pixels = dcmread(paths[OutputKind.PAGE]).pixel_array
    Image.fromarray(pixels.reshape(-1, *pixels.shape[2:])).save(picture)
    return f"the page: {picture}"
