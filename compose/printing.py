"""Rows as tables for people."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.table import Column, Table
from rich.text import Text

from compose.check import Check
from compose.screen import styled
from db.audit import SeriesStatus
from db.states import JobState, SeriesState
from dicom_node.spool.backlog import Backlog

if TYPE_CHECKING:
    from compose.routes import Route

COLOURS = {
    JobState.DELIVERED: "green",
    JobState.ENCODED: "cyan",
    JobState.RUNNING: "yellow",
    JobState.QUEUED: "yellow",
    SeriesState.RECEIVING: "blue",
    JobState.REJECTED: "red",
    JobState.FAILED: "bold red",
    SeriesState.INCOMPLETE: "red",
    SeriesState.SKIPPED: "dim",
    "measured": "green",
    "refused": "red",
    JobState.REVIEW: "magenta",
    JobState.DISCARDED: "dim",
}


def status_table(rows: Iterable[SeriesStatus]) -> Table:
    """One line a series: where it stands and, if it stopped, why."""
    table = Table(whole("series"), "images", "job", "state", whole("why"), title="Series, newest first")
    for row in rows:
        state = f"{row.state} · {row.stage}" if row.stage else row.state
        colour = COLOURS.get(row.state, "white")
        table.add_row(
            row.series_uid,
            str(row.instances),
            str(row.job_id or "–"),
            styled(state, colour),
            "\n".join(_reasons(row)),
        )
    return table


def backlog_lines(backlog: Backlog) -> list[str]:
    """One line where images wait to be registered: the table knows nothing of them yet."""
    if not backlog.images:
        return []
    return [f"{backlog.images} images are waiting to be registered, the oldest for {backlog.oldest_s:.0f} s"]


def _reasons(row: SeriesStatus) -> list[str]:
    lines = [f"{row.code}: {row.reason}" if row.reason else row.code] if row.code else []
    lines += (
        [f"{name} = {value}" for name, value in row.detail.items()]
        if row.state in {JobState.REJECTED, JobState.REVIEW, SeriesState.SKIPPED}
        else []
    )
    if row.images_until is not None:
        lines.append(f"images until {row.images_until.astimezone():%Y-%m-%d}")
    lines += [
        f"{d.destination}: {d.state} after {d.attempts} tries ({d.reason})"
        for d in row.deliveries
        if d.reason is not None
    ]
    return lines


def routes_table(routes: Iterable["Route"], verbose: bool) -> Table:
    """One line a series of a folder: what would happen and why; ``verbose``: the rules passed on the way."""
    table = Table(whole("series"), "files", whole("what the rules see"), "outcome", whole("why"), title="Routes")
    for one in routes:
        seen = one.facts
        words = (seen.modality, seen.body_part, " ".join(seen.kernel), " ".join(seen.image_type))
        thickness = "" if seen.thickness_mm is None else f"{seen.thickness_mm:g} mm"
        lines = [one.why, *(f"  not {name}: {reason}" for name, reason in one.passed)] if verbose else [one.why]
        table.add_row(
            one.series_uid,
            str(one.files),
            " · ".join(part for part in (*words, thickness, f"{seen.slices} slices") if part),
            styled(one.outcome, COLOURS.get(one.outcome, "white")),
            "\n".join(lines),
        )
    return table


def record_table(record: dict[str, Any], title: str) -> Table:
    """One record, a line a field."""
    table = Table("column", whole("value"), title=title)
    for name, value in record.items():
        table.add_row(name, shown(value))
    return table


def rows_table(rows: Sequence[dict[str, Any]], columns: Sequence[str], title: str) -> Table:
    """Many records, a line each, with the columns named."""
    table = Table(*(whole(name) for name in columns), title=title)
    for row in rows:
        table.add_row(*(shown(row[name]) for name in columns))
    return table


def whole(name: str) -> Column:
    """Return a column that wraps what is too long: a UID cut short is of no use."""
    return Column(name, overflow="fold")


def shown(value: object) -> str:
    """Return a value as people read it: times to the second, numbers to a tenth."""
    if value is None:
        return "–"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def checks_table(checks: Iterable[Check]) -> Table:
    """One line a check: what was found and how to mend it; ``!`` is a note, and no fault."""
    table = Table("", "check", "found", "how to mend it", title="Doctor")
    for check in checks:
        table.add_row(
            styled("!", "yellow") if check.ok and check.mend else _mark(check.ok), check.name, check.found, check.mend
        )
    return table


def _mark(well: bool) -> Text:
    return styled("✓", "green") if well else styled("✗", "red")


def settings_table(names: dict[str, str], values: dict[str, str]) -> Table:
    """Every environment variable that is a setting, and its value."""
    table = Table("environment variable", whole("value"), "what it sets", title="Settings")
    for name, description in names.items():
        table.add_row(name, values.get(name, "–"), description)
    return table


RESULT_COLUMNS = (
    "job_id",
    "patient_id",
    "state",
    "lung_volume_ml",
    "total_extent_pct",
    "ggo_extent_pct",
    "reticulation_extent_pct",
    "consolidation_extent_pct",
    "flags",
    "goh_category",
    "delivered_at",
    "series_uid",
)


def audit_report(
    results: list[dict[str, Any]], trail: list[dict[str, Any]], fault: str | None
) -> list[Table | Text | str]:
    """The results; for one series every column, its events and what their hashes say."""
    if not trail and fault is None:
        return [rows_table(results, RESULT_COLUMNS, "audit_result")]
    chain = styled(fault, "red") if fault else styled("events, rows and files are as they were written", "green")
    return [
        *(record_table(row, "audit_result") for row in results),
        trail_table(trail),
        chain,
    ]


def trail_table(trail: Sequence[dict[str, Any]]) -> Table:
    """One line an event; the view itself has every column."""
    table = Table("#", "at", "what", "from → to", "why", title="audit_trail")
    for event in trail:
        facts = " ".join(f"{name}={value}" for name, value in event["detail"].items() if name != "gaps")
        table.add_row(
            str(event["sequence"]),
            shown(event["at"]),
            f"{event['subject']} {event['subject_id']}" if event["subject"] != "series" else "series",
            f"{event['from_state'] or '–'} → {event['to_state']}",
            " ".join(part for part in (event["code"], facts) if part),
        )
    return table
