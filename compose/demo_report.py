"""What the demo shows at its end: numbers beside the truth, each series, the files, and what to do next."""

from collections.abc import Iterator, Sequence

from rich.table import Table

from compose import own_command, printing
from compose.demo import Measured, Outcome
from compose.screen import OUT, print_lines, say, styled


def show(outcome: Outcome) -> None:
    """Print it. Each path is a line of its own, whole, so that it can be copied."""
    if outcome.comparison():
        OUT.print(_comparison_table(outcome))
    if len(outcome.series) == 1 and outcome.series[0].row:
        OUT.print(printing.record_table(outcome.series[0].row, "audit_result"))
    else:
        OUT.print(_series_table(outcome.series))
    say(f"seconds: {' · '.join(f'{name} {seconds:.1f}' for name, seconds in outcome.seconds.items())}")
    print_lines(_files("objects in the archive", outcome.archived))
    print_lines(_files("overlay pictures", outcome.pictures))
    say(f"Next: {own_command.name()} demo --dicom FOLDER  measures a chest CT of yours; --help lists all commands.")


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


def _files(title: str, paths: tuple[object, ...]) -> Iterator[str]:
    if paths:
        yield f"{title}: {len(paths)}"
        yield from (f"  {path}" for path in paths)
