"""The command that shows where every series stands."""

from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Annotated

import typer
from sqlalchemy.orm import Session

from compose import settings, status_lines
from compose.errors import Unknown
from compose.json_output import AsJson, print_json
from compose.screen import OUT, print_lines
from db import audit, schema
from db.audit import Wanted
from db.states import JobState, SeriesState
from dicom_node import scheduling
from dicom_node.spool import backlog
from dicom_node.spool.folder import Spool

STATES = tuple(dict.fromkeys(state.value for state in (*SeriesState, *JobState) if state != JobState.SUPERSEDED))
TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]


def _known_state(state: str | None) -> str | None:
    if state is not None and state not in STATES:
        raise typer.BadParameter(f"there are {', '.join(map(repr, STATES))}")
    return state


def status(
    series_uid: Annotated[str | None, typer.Argument(help="One series; without it the newest.")] = None,
    state: Annotated[
        str | None, typer.Option(help="Only in this state, as delivered or failed.", callback=_known_state)
    ] = None,
    patient: Annotated[str | None, typer.Option(help="Only of this PatientID.")] = None,
    sender: Annotated[str | None, typer.Option(help="Only from this calling AE title.")] = None,
    since: Annotated[
        datetime | None,
        typer.Option(help="Only with an image since this time; local without an offset.", formats=TIMES),
    ] = None,
    limit: Annotated[int, typer.Option(help="So many series at most.", min=1)] = 100,
    dead_letters: Annotated[
        bool, typer.Option("--dead-letters", help="Only with an object that rests unsent: scleroscan retry JOB.")
    ] = False,
    patients: Annotated[
        bool, typer.Option("--patients", envvar=settings.SHOW_PATIENTS, help="Show PatientIDs too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show where every series stands and, if it stopped, why."""
    site = settings.load()
    wanted = Wanted(series_uid, state, patient, sender, since.astimezone() if since else None, limit, dead_letters)
    with schema.open_current(site.db_url).begin() as session:
        rows = audit.status(session, retention=scheduling.retention(site.node), wanted=wanted)
        if series_uid is not None and not rows:
            require_known(session, series_uid)
    if as_json:
        print_json([asdict(row if patients else replace(row, patient_ids=None)) for row in rows])
        return
    print_lines(status_lines.status_lines(rows, patients))
    for text in _backlog_lines(backlog.waiting(Spool(site.node.spool_dir), datetime.now(UTC))):
        OUT.print(text, style="dim")


def _backlog_lines(waiting: backlog.Backlog) -> list[str]:
    """One line where images wait to be registered: the rows know nothing of them yet."""
    if not waiting.images:
        return []
    return [f"{waiting.images} images are waiting to be registered, the oldest for {waiting.oldest_s:.0f} s"]


def require_known(session: Session, series_uid: str) -> None:
    """Raise Unknown where nothing of a series was registered."""
    # A series without a row but with events was tampered with: the audit shows that.
    if not audit.status(session, series_uid) and not audit.trail(session, series_uid):
        raise Unknown(f"series {series_uid} is unknown here: no image of it was registered")
