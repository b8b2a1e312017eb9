"""The command ``scleroscan history``: how the extents of one patient changed from exam to exam."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from compose import settings
from compose.errors import Unknown
from compose.json_output import AsJson, print_json
from compose.patterns import PATTERNS
from compose.screen import OUT, say, styled
from db import schema, tracking
from worker import past
from worker.analysis import goh, serial
from worker.analysis.records import Region
from worker.analysis.serial import Change, Comparison, Extent, Timepoint
from worker.reading.exam import day

NAMES = {Region.TOTAL: "disease"} | {Region(name): words for name, words in PATTERNS.items()}
# As wide as "+15.0 (+4", and no narrower than the words of a name.
NUMBERS_WIDE = 9
COLOURS = {serial.Verdict.INCREASE: "red", serial.Verdict.DECREASE: "green", serial.Verdict.UNCERTAIN: "yellow"}


def history(
    patient_id: Annotated[str, typer.Argument(help="The PatientID of the images.")],
    fvc: Annotated[
        float | None,
        typer.Option(help="Forced vital capacity at the newest exam, % of predicted: decides Goh's category.", min=1),
    ] = None,
    threshold: Annotated[
        float, typer.Option(help="Points of extent from which a change is called one.", min=0.1, max=100)
    ] = serial.THRESHOLD_POINTS,
    plot: Annotated[Path | None, typer.Option(help="Write the course as a PNG to this file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the extents of one patient over time, each exam compared with the one before.

    Exams under the same PatientID with another issuer, name or birth date are shown as a conflict, and never compared.
    """
    with schema.open_current(settings.load().db_url).begin() as session:
        points = [past.timepoint_of(row) for row in tracking.exams_of(session, patient_id)]
    if not points:
        raise Unknown(f"no measured exam of a patient with the ID {patient_id}")
    own, strangers = serial.split(points, points[-1].exam.patient)
    rows = [(point, serial.with_earlier(own, point)) for point in own]
    if plot is not None:
        # Its libraries would slow down every other command.
        from compose import history_plot  # noqa: PLC0415

        history_plot.write(own, plot)
    if as_json:
        print_json(_as_json(rows, strangers, threshold, fvc))
        return
    OUT.print(_table(rows, threshold, fvc))
    for stranger in strangers:
        OUT.print(styled(_conflict(stranger, own[-1]), "bold red"))
    if plot is not None:
        say(f"the course is drawn in {plot}")


Row = tuple[Timepoint, Comparison | None]


def _table(rows: list[Row], threshold: float, fvc: float | None) -> Table:
    """One line an exam, oldest first: its extents, and below them the change since the one before.

    No word is broken, down to a screen of 80 columns.
    """
    columns = (Column(name, width=max(NUMBERS_WIDE, *map(len, name.split()))) for name in NAMES.values())
    exam = Column("exam", width=len("indeterminate,"))
    title = "Extents in % of the lungs over time, oldest first"
    table = Table(exam, *columns, "caveats", title=title, padding=(0, 0))
    for number, (point, comparison) in enumerate(rows, start=1):
        changes = {change.region: change for change in comparison.changes} if comparison else {}
        table.add_row(
            _exam(point, fvc if number == len(rows) else None),
            *(_cell(point.extents.get(region), changes.get(region), threshold) for region in NAMES),
            ", ".join(comparison.caveats).replace("_", " ") if comparison else "",
        )
    return table


def _exam(point: Timepoint, fvc: float | None) -> str:
    return f"{day(point.exam.acquired) or '–'}\n{point.lung_ml:.0f} ml\n{_goh(point, fvc)}"


def _cell(extent: Extent | None, change: Change | None, threshold: float) -> Any:
    if extent is None:
        return "–"
    lines = [_between(f"{extent.value:.1f}", extent.lower, extent.upper)]
    if change is None:
        return lines[0]
    verdict = change.verdict(threshold)
    lines += [_between(f"{change.points:+.1f}", change.lower, change.upper, "+"), str(verdict)]
    return styled("\n".join(lines), COLOURS.get(verdict, ""))


def _between(value: str, lower: float | None, upper: float | None, sign: str = "") -> str:
    return value if lower is None or upper is None else f"{value} ({lower:{sign}.1f} to {upper:{sign}.1f})"


def _goh(point: Timepoint, fvc: float | None) -> str:
    total = point.extents.get(Region.TOTAL)
    return "" if total is None else goh.category(total.value, fvc).words


def _conflict(stranger: Timepoint, own: Timepoint) -> str:
    fields = " and ".join(serial.conflicts(stranger.exam.patient, own.exam.patient)).replace("_", " ")
    on = day(stranger.exam.acquired) or "–"
    return f"conflict: the exam of {on} has this ID with another {fields}; it is not compared"


def _as_json(rows: list[Row], strangers: tuple[Timepoint, ...], threshold: float, fvc: float | None) -> dict[str, Any]:
    newest, _ = rows[-1]
    exams = [
        _exam_json(point, comparison, threshold) | {"goh_category": _goh(point, fvc if point is newest else None)}
        for point, comparison in rows
    ]
    conflicts = [
        {
            "series_uid": one.series_uid,
            "acquired": one.exam.acquired,
            "differs": serial.conflicts(one.exam.patient, newest.exam.patient),
        }
        for one in strangers
    ]
    return {"threshold_points": threshold, "exams": exams, "conflicts": conflicts}


def _exam_json(point: Timepoint, comparison: Comparison | None, threshold: float) -> dict[str, Any]:
    return {
        "acquired": point.exam.acquired,
        "series_uid": point.series_uid,
        "lung_ml": point.lung_ml,
        "extents": {region: [e.value, e.lower, e.upper] for region, e in point.extents.items()},
        "since": comparison.earlier.series_uid if comparison else None,
        "changes": {
            one.region: {"points": [one.points, one.lower, one.upper], "verdict": one.verdict(threshold)}
            for one in (comparison.changes if comparison else ())
        },
        "caveats": list(comparison.caveats) if comparison else [],
    }
