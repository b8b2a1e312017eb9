"""What the demo shows at its end: numbers beside the truth, each series, the files, and what to do next."""

import shlex
from collections.abc import Iterator, Sequence

from rich.table import Table

from compose import own_command, printing
from compose.demo import Measured, Outcome
from compose.demo_folder import SETTINGS
from compose.screen import OUT, print_lines, say, styled


def show(outcome: Outcome) -> None:
    """Print it. Each path and each command is a line of its own, so that it can be copied."""
    if outcome.comparison():
        OUT.print(_comparison_table(outcome))
    if len(outcome.series) == 1 and outcome.series[0].row:
        OUT.print(printing.record_table(outcome.series[0].row, "audit_result"))
    else:
        OUT.print(_series_table(outcome.series))
    say(f"seconds: {' · '.join(f'{name} {seconds:.1f}' for name, seconds in outcome.seconds.items())}")
    print_lines(_where_to_look(outcome))
    print_lines(_to_go_on(outcome))


def _comparison_table(outcome: Outcome) -> Table:
    table = Table("", "measured", "truth", "unit", "near enough", title="Measured against the phantom's truth")
    for row in outcome.comparison():
        sign, colour = ("✓", "green") if row.is_near else ("✗", "red")
        near = styled(f"{sign} within {row.tolerance}", colour)
        table.add_row(row.name, f"{row.measured:.1f}", f"{row.true:.1f}", row.unit, near)
    return table


def _series_table(series: Sequence[Measured]) -> Table:
    table = Table(printing.whole("series"), "images", "state", "disease, %", printing.whole("why"), title="Series")
    for one in series:
        why = ": ".join(part for part in (one.status.code, one.status.reason) if part)
        extent = printing.shown(one.row.get("total_extent_pct"))
        table.add_row(one.status.series_uid, str(one.status.instances), one.status.state, extent, why)
    return table


def _where_to_look(outcome: Outcome) -> Iterator[str]:
    yield f"Where to look, in {outcome.home}:"
    names = {look.path.relative_to(outcome.home): look.what for look in outcome.looks}
    width = max(map(len, map(str, names)), default=0)
    yield from (f"  {name!s:<{width}}  {what}" for name, what in names.items())
    yield f"The embedded archive took {outcome.archived} objects."


def _to_go_on(outcome: Outcome) -> Iterator[str]:
    """Yield commands that can be copied: the site has ended, and its rows can be asked."""
    command = own_command.name()
    patients = {one.row["patient_id"] for one in outcome.series if one.row.get("patient_id")}
    yield "To go on:"
    yield f"  . {shlex.quote(str(outcome.home / SETTINGS))}    # the settings of this demo's site"
    yield f"  {command} status"
    yield from (f"  {command} history {shlex.quote(patient)}" for patient in sorted(patients))
    yield f"  {command} user add me --role operator --patients && {command} status-page"
    yield f"  {command} demo --dicom FOLDER    # a chest CT of yours; --help lists all commands"
