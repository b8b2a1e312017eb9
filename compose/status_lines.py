"""Where series stand, as lines for people: columns that fit a terminal of 80, and below each what has to be said."""

from collections.abc import Iterable, Iterator, Mapping

from rich.text import Text

from compose.patterns import PATTERNS
from compose.screen import COLOURS, styled, when
from db.audit import DeliveryStatus, SeriesStatus
from db.states import DeliveryState, JobState, SeriesState

HEADING = f"{'job':>6}  {'state':<19} {'images':>6} {'sender':<16} last image"
INDENT = " " * 8
NUMBERS_SAY_WHY = frozenset({JobState.REJECTED, JobState.REVIEW, SeriesState.SKIPPED})


def status_lines(rows: Iterable[SeriesStatus], shows_patients: bool = False) -> Iterator[Text]:
    """Yield one line of columns a series, and below it UID, result, doubts, why it stopped and what is to be sent."""
    yield styled(HEADING, "bold")
    for row in rows:
        yield _columns(row)
        yield from (styled(f"{INDENT}{line}", "") for line in _below(row, shows_patients))


def _columns(row: SeriesStatus) -> Text:
    state = f"{row.state} · {row.stage}" if row.stage else row.state
    line = Text(f"{row.job_id or '–':>6}  ")
    line.append_text(styled(f"{state:<19}", COLOURS.get(row.state, "white")))
    sender = ", ".join(row.senders) or "–"
    return line.append_text(styled(f" {row.instances:>6} {sender:<16} {when(row.last_arrival_at)}", ""))


def _below(row: SeriesStatus, shows_patients: bool) -> Iterator[str]:
    yield row.series_uid
    if row.description or shows_patients:
        patient = [f"patient {one}" for one in row.patient_ids or ()] if shows_patients else []
        yield " · ".join(part for part in (*patient, row.description) if part)
    if row.extents_pct:
        yield _result(row.extents_pct)
    if row.flags:
        yield f"doubts: {', '.join(row.flags)}"
    yield from _why(row)
    if row.images_until is not None:
        yield f"images until {when(row.images_until)}"
    yield from _deliveries(row)


def _result(extents_pct: Mapping[str, float]) -> str:
    parts = ", ".join(f"{word} {extents_pct[name]:.1f}" for name, word in PATTERNS.items() if name in extents_pct)
    return f"total {extents_pct['total']:.1f} %: {parts}" if parts else f"total {extents_pct['total']:.1f} %"


def _why(row: SeriesStatus) -> Iterator[str]:
    if row.code:
        yield f"{row.code}: {row.reason}" if row.reason else row.code
    if row.state in NUMBERS_SAY_WHY:
        yield from (f"{name} = {value}" for name, value in row.detail.items())


def _deliveries(row: SeriesStatus) -> Iterator[str]:
    """Yield a line for each delivery that is not done; objects of one job that still wait mostly share it."""
    yield from dict.fromkeys(line for one in row.deliveries if (line := _delivery(one, row.job_id)))


def _delivery(one: DeliveryStatus, job_id: int | None) -> str:
    tries = "1 try" if one.attempts == 1 else f"{one.attempts} tries"
    why = f" ({one.reason})" if one.reason else ""
    if one.state == DeliveryState.FAILED:
        return f"{one.kind} to {one.destination}: dead letter after {tries}{why}\n{INDENT}  scleroscan retry {job_id}"
    if one.state == DeliveryState.SENT:
        # Without a reason all goes its way.
        return f"{one.destination}: sent, proof: {one.proof}{why}" if one.reason else ""
    said = f"{one.destination}: {one.state} after {tries}{why}"
    if one.next_try_at is not None:
        return f"{said}\n{INDENT}  next try {when(one.next_try_at)}"
    return said if one.reason else ""
