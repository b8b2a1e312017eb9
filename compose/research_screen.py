"""What the researcher's commands show: bars while they work, tables at their end."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from compose.json_output import print_json
from compose.screen import ERR, OUT
from worker.training.evaluation import summary

if TYPE_CHECKING:
    from worker.training.data.survey import Survey
    from worker.training.evaluation.comparison import Comparison
    from worker.training.evaluation.evaluate import Report
    from worker.training.evaluation.report import Evaluation


def show_evaluation(evaluation: "Evaluation", title: str, folder: Path, as_json: bool) -> None:
    """Print the scores of one model, or all of its evaluation for machines."""
    if as_json:
        print_json(evaluation.as_json())
        return
    pooled = evaluation.as_json()["pooled"]
    OUT.print(table(summary.rows(pooled, evaluation.repeatability_points), title))
    OUT.print(f"table, JSON and figures: {folder}", style="dim")


def show_comparison(both: "Comparison", folder: Path, as_json: bool) -> None:
    """Print the scores of two models side by side."""
    from worker.training.evaluation import comparison  # noqa: PLC0415

    if as_json:
        print_json(both.as_json())
        return
    OUT.print(table(comparison.lines(both), both.evaluations[0].of, ("score", *both.titles)))
    OUT.print(*comparison.differences(both), sep="\n", highlight=False)
    OUT.print(f"both side by side: {folder / 'comparison.md'}", style="dim")


def show_survey(found: "Survey") -> None:
    """Print what a data set holds, beside the bars."""
    ERR.print(survey_table(found))


def survey_table(found: "Survey") -> Table:
    """One line a value of the masks: what it means, and where it is found."""
    made = Table("value", "means", "scans", "voxels", title=f"{found.dataset}: {found.patients} patients")
    for row in found.rows:
        meaning = row.kind or "nothing: ignored"
        made.add_row(row.value, meaning, f"{row.scans} of {found.scans}", f"{row.voxels:,}")
    if found.assumed:
        made.caption = f"{found.assumed} scans without spacing_mm: a field of view of 350 mm is assumed"
    return made


def table(lines: Sequence[Sequence[str]], title: str, heads: Sequence[str] = ("score", "value")) -> Table:
    """Return lines under their heads."""
    made = Table(*heads, title=title)
    for line in lines:
        made.add_row(*line)
    return made


@contextmanager
def progress() -> Iterator["Report"]:
    """Show a bar for each part of the work as it begins."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=ERR) as bars_shown:
        bars: dict[str, TaskID] = {}

        def tell(what: str, done: int, total: int) -> None:
            if what not in bars:
                bars[what] = bars_shown.add_task(what, total=total)
            bars_shown.update(bars[what], completed=done)

        yield tell
