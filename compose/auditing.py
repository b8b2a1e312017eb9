"""The commands of an auditor: ``audit`` shows where numbers come from, ``audit verify`` what was changed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from getpass import getuser
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session, sessionmaker
from typer.core import TyperGroup

from compose import audit_export, audit_lines, settings
from compose.errors import Unknown
from compose.json_output import AsJson, print_json
from compose.queries import TIMES, require_known
from compose.screen import print_lines
from compose.settings import SiteSettings
from db import audit, schema, tracking
from db.audit import Asked
from db.engine import snapshot
from dicom_node.spool.notices import AUDIT_USED, Notices


class WithShow(TyperGroup):
    """A group whose words belong to its command ``show`` where they name no other: ``audit 1.2.3``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ``show`` before words that begin with no command of the group."""
        known = {*self.commands, *ctx.help_option_names}
        return super().parse_args(ctx, args if args[:1] and args[0] in known else ["show", *args])


app = typer.Typer(
    cls=WithShow, help="Where numbers come from, and whether anything was changed: `audit`, `audit SERIES` are `show`."
)


@app.command()
def show(
    series_uid: Annotated[
        str | None, typer.Argument(help="One series, with every event; without it all results.")
    ] = None,
    patient: Annotated[str | None, typer.Option(help="Only of this PatientID.")] = None,
    study: Annotated[str | None, typer.Option(help="Only of this Study Instance UID.")] = None,
    since: Annotated[
        datetime | None, typer.Option(help="Only since this time; local without an offset.", formats=TIMES)
    ] = None,
    code: Annotated[
        str | None, typer.Option(help="Only what bears this code: of an event, a job, or a quality flag.")
    ] = None,
    events: Annotated[bool, typer.Option("--events", help="Show events instead of results.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV for spreadsheets.")] = False,
    parquet: Annotated[Path | None, typer.Option(help="Write a Parquet file, for research.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show where the numbers come from: the rows of audit_result; for one series also its events and their hashes."""
    site = settings.load()
    asked = Asked(patient, study, since.astimezone() if since else None, code)
    anchors = tracking.read_anchors(site.node.anchors)
    Notices(site.node.notices, site.node.syslog is not None).write(AUDIT_USED, f"operator:{getuser()}")
    with _opened(site) as sessions, snapshot(sessions) as session:
        results = [] if events else audit.results(session, series_uid, series_uid is not None, asked)
        trail = audit.trail(session, series_uid, asked) if series_uid or events else []
        if series_uid is not None and not trail:
            require_known(session, series_uid)
        fault = tracking.verify_series(session, series_uid, anchors) if series_uid else None
    if asked != Asked() and not results and not trail:
        raise Unknown(_nothing(asked, events))
    rows, view = (trail, "audit_trail") if events else (results, _view(series_uid))
    if parquet is not None:
        audit_export.write_parquet(parquet, view, rows)
    if as_csv:
        audit_export.print_csv(view, rows)
    elif as_json:
        print_json({"results": results, "trail": trail, "chain_fault": fault})
    elif parquet is None:
        print_lines(audit_lines.event_lines(trail) if events else audit_lines.audit_report(results, trail, fault))
    if fault:
        raise typer.Exit(1)


@contextmanager
def _opened(site: SiteSettings) -> Iterator[sessionmaker[Session]]:
    sessions = schema.open_current(site.db_url)
    try:
        yield sessions
    finally:
        sessions.kw["bind"].dispose()


def _view(series_uid: str | None) -> str:
    return "audit_every_result" if series_uid else "audit_result"


def _nothing(asked: Asked, events: bool) -> str:
    if events:
        return "no such event is known here"
    if asked == Asked(patient_id=asked.patient_id):
        return f"patient {asked.patient_id} is unknown here, or nothing of theirs was measured yet"
    return "no such result is known here; --events shows what happened to series that were not measured"


@app.command()
def verify(
    anchors_file: Annotated[
        Path | None,
        typer.Option("--anchors", help="The anchors, or a copy of them kept elsewhere; else those of the site."),
    ] = None,
    files: Annotated[bool, typer.Option("--files/--no-files", help="Compare the files of results too.")] = True,
    as_json: AsJson = False,
) -> None:
    """Compare all rows with their events, the events with each other and with their anchors, and files with rows.

    Ends with status 1 where anything was changed, removed or added.
    """
    site = settings.load()
    path = anchors_file or site.node.anchors
    with _opened(site) as sessions:
        found = tracking.verify_site(sessions, tracking.read_anchors(path), files)
    if as_json:
        print_json(_record(found, path))
    else:
        print_lines(audit_lines.verified_lines(found, path))
    if found.faults:
        raise typer.Exit(1)


def _record(found: tracking.Verified, path: Path) -> dict[str, Any]:
    return asdict(found) | {"anchors": str(path)}
