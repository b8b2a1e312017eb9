"""Where numbers come from, as lines for people: the rows of the audit views."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from compose.printing import shown
from compose.screen import COLOURS, styled, when
from db.tracking import Verified

HEADING = f"{'job':>6}  {'state':<10} {'total %':>8} {'GGO %':>7} {'retic. %':>8} {'consol. %':>9} {'lungs ml':>8}"
NUMBERS = (
    ("total_extent_pct", 8),
    ("ggo_extent_pct", 7),
    ("reticulation_extent_pct", 8),
    ("consolidation_extent_pct", 9),
    ("lung_volume_ml", 8),
)
INDENT = " " * 8
# A hash with its name just fits behind it.
FACT_INDENT = " " * 3
WIDTH = 80
Row = Mapping[str, Any]


def audit_report(results: Sequence[Row], trail: Sequence[Row], fault: str | None) -> Iterator[Text]:
    """Yield the results; for one series every column, its events, and what their hashes say."""
    if not trail and fault is None:
        yield from _results(results)
        return
    for row in results:
        yield from _record(row)
    yield from _trail(trail)
    yield styled(fault, "red") if fault else styled("events, rows and files are as they were written", "green")


def event_lines(trail: Sequence[Row]) -> Iterator[Text]:
    """Yield events of several series, each with its series above it."""
    for event in trail:
        yield styled(f"series {event['series_uid']}", "")
        yield from _event(event)


def verified_lines(found: Verified, anchors: Path) -> Iterator[Text]:
    """Yield every fault, and what was compared."""
    for one in found.faults:
        yield styled(one.fault, "red")
    if found.anchored_at is None:
        yield styled(f"no anchors in {anchors}: events cut off at the end of a series would not be seen", "yellow")
    else:
        yield styled(f"anchored at {when(found.anchored_at)}: later events cut off at an end would not be seen", "dim")
    if found.in_store:
        lie = f"files of {found.in_store} series lie in the object store and were not compared"
        yield styled(f"{lie}: scleroscan fetch SERIES brings them home", "dim")
    counted = f"{found.events} events of {found.series} series"
    if found.faults:
        yield styled(f"{counted}: {len(found.faults)} faults", "red")
    else:
        yield styled(f"{counted}: events, rows and files are as they were written", "green")


def _record(row: Row) -> Iterator[Text]:
    """Yield a line for each column of the view; digests and UIDs that are too long beside their name stand below it."""
    yield styled("audit_result", "bold")
    for name, value in row.items():
        beside = f"{name:<30} {shown(value)}"
        yield styled(beside if len(beside) <= WIDTH else f"{name}\n{INDENT}{shown(value)}", "")


def _results(results: Sequence[Row]) -> Iterator[Text]:
    yield styled(HEADING, "bold")
    for row in results:
        numbers = " ".join(f"{shown(row[name]):>{width}}" for name, width in NUMBERS)
        line = Text(f"{row['job_id']:>6}  ").append_text(styled(f"{row['state']:<10}", COLOURS.get(row["state"], "")))
        yield line.append_text(styled(f" {numbers}", ""))
        below = (row["series_uid"], f"patient {row['patient_id']} · {row['goh_category']}", _flags(row), _sent(row))
        yield from (styled(f"{INDENT}{part}", "") for part in below if part)


def _flags(row: Row) -> str:
    return f"doubts: {row['flags']}" if row["flags"] else ""


def _sent(row: Row) -> str:
    return f"delivered {when(row['delivered_at'])}, proof: {row['delivery_proof']}" if row["delivered_at"] else ""


def _trail(trail: Sequence[Row]) -> Iterator[Text]:
    """Yield a line for each event, and below it why; the view itself has every column."""
    yield styled(f"{'#':>4}  {'at':<25}  {'what':<13} from → to", "bold")
    for event in trail:
        yield from _event(event)


def _event(event: Row) -> Iterator[Text]:
    what = event["subject"] if event["subject"] == "series" else f"{event['subject']} {event['subject_id']}"
    arrow = f"{event['from_state'] or '–'} → {event['to_state']}"
    yield styled(f"{event['sequence']:>4}  {when(event['at'])}  {what:<13} {arrow}", "")
    facts = (f"{name}={value}" for name, value in event["detail"].items() if name != "gaps")
    why = " ".join(part for part in (event["code"], *facts) if part)
    for line in textwrap.wrap(why, WIDTH - 3, break_long_words=False, break_on_hyphens=False):
        yield styled(f"{FACT_INDENT}{line}", "dim")
