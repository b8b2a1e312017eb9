"""The researcher's commands, ``train`` and ``evaluate``. torch is imported when one of them runs: it takes seconds."""

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from compose.json_output import AsJson, print_json
from compose.screen import ERR, OUT
from worker.settings import PACKAGED_WEIGHTS
from worker.training.evaluation import summary

if TYPE_CHECKING:
    from worker.training.data.survey import Survey
    from worker.training.evaluation.comparison import Comparison
    from worker.training.evaluation.evaluate import Report
    from worker.training.evaluation.report import Evaluation

SWEEP_PATIENTS = 3
SHIPPED = Path("shipped")

Datasets = Annotated[
    list[Path] | None,
    typer.Option("--dataset", help="YAML file of labelled data; may be given again.", exists=True, dir_okay=False),
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda:0")]
Processes = Annotated[int, typer.Option(help="Phantoms drawn or scored at once.", min=1)]


def train(
    out_file: Annotated[Path, typer.Option("--out", help="The safetensors file to write; its card lies beside it.")],
    dataset: Datasets = None,
    phantoms: Annotated[
        int, typer.Option(help="Computed phantoms to train on; 0 for labelled data alone.", min=0)
    ] = 48,
    healthy: Annotated[
        Path | None,
        typer.Option(help="Folder of CT series of healthy lungs to paint lesions into.", exists=True, file_okay=False),
    ] = None,
    painted: Annotated[int, typer.Option(help="How many such paintings.", min=1)] = 24,
    minutes: Annotated[
        float, typer.Option(help="Longest training time; drawing and scoring come on top.", min=0.01)
    ] = 60.0,
    steps: Annotated[int, typer.Option(help="Most optimiser steps.", min=1)] = 20_000,
    epochs: Annotated[int | None, typer.Option(help="So many times every slice, instead of --steps.", min=1)] = None,
    held_out: Annotated[int, typer.Option(help="Phantoms to calibrate on, and as many to score on.", min=1)] = 12,
    start_from: Annotated[
        Path | None,
        typer.Option(help="Weights to go on from, their card beside them; `shipped` for the packaged model."),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the model, as SEG and SR will say.")] = "ssc-ild-unet-site",
    version: Annotated[str, typer.Option(help="Its version.")] = "1",
    folds: Annotated[
        int | None,
        typer.Option(help="Cross-validate: so many models, each patient judged by the one that never saw it.", min=3),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of phantoms, crops and splits.")] = 0,
    device: Device = "auto",
    processes: Processes = 2,
    cache: Annotated[Path, typer.Option(help="Folder for drawn phantoms, used again next time.")] = Path(
        "phantom-cache"
    ),
    as_json: AsJson = False,
) -> None:
    """Train the pattern model on computed phantoms, on lesions painted into healthy lungs, on labelled data, or on all.

    A run that was cut off goes on where it stopped when the same command is given again. Patients are never on two
    sides.
    """
    from worker.training.fit import cross_validation  # noqa: PLC0415
    from worker.training.fit import train as training  # noqa: PLC0415
    from worker.training.fit.plan import TrainingPlan  # noqa: PLC0415

    plan = TrainingPlan(
        out=out_file,
        cache=cache,
        name=name,
        version=version,
        cases=phantoms,
        healthy=healthy,
        painted=painted if healthy else 0,
        datasets=tuple(dataset or ()),
        steps=steps,
        epochs=epochs,
        minutes=minutes,
        held_out=held_out,
        seed=seed,
        device=device,
        processes=processes,
        start_from=PACKAGED_WEIGHTS if start_from == SHIPPED else start_from,
    )
    if folds is not None:
        with _progress() as tell:
            found = cross_validation.run(plan, folds, _typed(), tell, _show_survey)
        _show_evaluation(found, found.of, cross_validation.folder_of(plan), as_json)
        return
    with _progress() as tell:
        card = training.run(plan, tell, _show_survey).card
    if as_json:
        print_json(card)
    else:
        OUT.print(_table(summary.rows(card["scores"]), f"Scores of {out_file.name} on patients held out"))
        OUT.print(card["intended_use"], style="dim")


def evaluate(
    weights: Annotated[Path, typer.Option(help="The model to judge.", exists=True, dir_okay=False)] = PACKAGED_WEIGHTS,
    folder: Annotated[Path, typer.Option("--out", help="Folder for table, JSON and figures.")] = Path("evaluation"),
    dataset: Datasets = None,
    everyone: Annotated[
        bool, typer.Option("--everyone", help="All patients of the data sets, not the test side alone.")
    ] = False,
    phantoms: Annotated[int, typer.Option(help="Held-out phantoms, where no data set is given.", min=1)] = 30,
    sweep: Annotated[bool, typer.Option(help="Vary kernel, noise and slice thickness as well.")] = True,
    seed: Annotated[int, typer.Option(help="Seed of the split that the model was trained with.")] = 0,
    device: Device = "auto",
    processes: Processes = 2,
    look: Annotated[
        Path | None,
        typer.Option(
            help="Folder of CT series without truth: numbers, flags and a contact sheet of each, nothing else.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="A second model, judged on the same patients side by side.", exists=True, dir_okay=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Judge a model patient by patient: Dice, error and bias of extent, ICC, Goh category, lung mask, sweep.

    Phantoms have seeds, kernels and noise that were not trained on. Of a data set the test side is judged; patients
    that the model was
    trained on are refused.
    """
    if look is not None:
        _look(look, weights, folder, device, as_json)
        return
    from worker.training.evaluation import comparison, judge  # noqa: PLC0415

    asked = judge.Request(
        weights, tuple(dataset or ()), everyone, phantoms, SWEEP_PATIENTS if sweep else 0, seed, device, processes
    )
    if against is not None:
        with _progress() as tell:
            both = comparison.run(asked, against, _typed(), tell)
        comparison.write(both, folder)
        _show_comparison(both, folder, as_json)
        return
    with _progress() as tell:
        evaluation = judge.run(asked, _typed(), tell)
    judge.write(evaluation, folder)
    _show_evaluation(evaluation, f"{weights.name}: {evaluation.of}", folder, as_json)


def check(
    file: Annotated[Path, typer.Argument(help="The YAML file of labelled data.", exists=True, dir_okay=False)],
    seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Look at a data set before anything is learnt from it: values of the masks, sides of the patients, readers.

    What training would refuse is refused here, after the table: scans that cannot be read, a declared value that
    occurs in no mask, one image under two patients.
    """
    from worker.training.data import dataset_file, split, survey  # noqa: PLC0415
    from worker.training.evaluation import readers  # noqa: PLC0415

    with _progress() as tell:
        found = survey.of(file, tell)
    if not as_json:
        OUT.print(_survey_table(found))
    found.require()
    agreed, sides = readers.of(file), split.assign(dataset_file.read(file), seed)
    if as_json:
        print_json({**found.as_json(), "sides": sides.as_json(), "readers": [asdict(row) for row in agreed]})
        return
    if agreed:
        OUT.print(_table(readers.table_rows(agreed), "Readers among themselves", readers.HEAD))
    for side, names in sides.as_json().items():
        OUT.print(f"{side}: {', '.join(names)}", highlight=False)


def _look(series_folder: Path, weights: Path, folder: Path, device: str, as_json: bool) -> None:
    from worker import look  # noqa: PLC0415
    from worker.analysis.patterns import model  # noqa: PLC0415

    with _progress() as tell:
        rows = look.run(series_folder, model.load(weights, device), folder, tell)
    if as_json:
        print_json(look.as_json(rows))
    else:
        OUT.print(f"{len(rows)} series looked at; table, JSON and pictures: {folder}", style="dim")


def _typed() -> str:
    return shlex.join(["scleroscan", *sys.argv[1:]])


def _show_evaluation(evaluation: "Evaluation", title: str, folder: Path, as_json: bool) -> None:
    if as_json:
        print_json(evaluation.as_json())
        return
    pooled = evaluation.as_json()["pooled"]
    OUT.print(_table(summary.rows(pooled, evaluation.repeatability_points), title))
    OUT.print(f"table, JSON and figures: {folder}", style="dim")


def _show_comparison(both: "Comparison", folder: Path, as_json: bool) -> None:
    from worker.training.evaluation import comparison  # noqa: PLC0415

    if as_json:
        print_json(both.as_json())
        return
    OUT.print(_table(comparison.lines(both), both.evaluations[0].of, ("score", *both.titles)))
    OUT.print(*comparison.differences(both), sep="\n", highlight=False)
    OUT.print(f"both side by side: {folder / 'comparison.md'}", style="dim")


def _show_survey(found: "Survey") -> None:
    ERR.print(_survey_table(found))


def _survey_table(found: "Survey") -> Table:
    """One line a value of the masks: what it means, and where it is found."""
    table = Table("value", "means", "scans", "voxels", title=f"{found.dataset}: {found.patients} patients")
    for row in found.rows:
        meaning = row.kind or "nothing: ignored"
        table.add_row(row.value, meaning, f"{row.scans} of {found.scans}", f"{row.voxels:,}")
    if found.assumed:
        table.caption = f"{found.assumed} scans without spacing_mm: a field of view of 350 mm is assumed"
    return table


def _table(lines: Sequence[Sequence[str]], title: str, heads: Sequence[str] = ("score", "value")) -> Table:
    table = Table(*heads, title=title)
    for line in lines:
        table.add_row(*line)
    return table


@contextmanager
def _progress() -> Iterator["Report"]:
    """Show a bar for each part of the work as it begins."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=ERR) as progress:
        bars: dict[str, TaskID] = {}

        def tell(what: str, done: int, total: int) -> None:
            if what not in bars:
                bars[what] = progress.add_task(what, total=total)
            progress.update(bars[what], completed=done)

        yield tell
