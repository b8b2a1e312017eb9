"""The researcher's commands, ``train`` and ``evaluate``. torch is imported when one of them runs: it takes seconds."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from compose import research_screen
from compose.json_output import AsJson, print_json
from compose.screen import OUT
from worker.settings import PACKAGED_WEIGHTS
from worker.training.evaluation import summary

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
    without_lines: Annotated[
        Path | None,
        typer.Option(
            help="Folder of axial CT images of diseased lungs without lines, such as pneumonia; a folder a patient.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(
            help="Model that says what is diseased there, lines or not; by default that of --start-from.",
            exists=True,
            dir_okay=False,
        ),
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
    average_with: Annotated[
        list[Path] | None,
        typer.Option(
            help="Earlier weights, their card beside them, with which the new ones are averaged; may be given again.",
            exists=True,
            dir_okay=False,
        ),
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
        without_lines=without_lines,
        teacher=teacher,
        datasets=tuple(dataset or ()),
        steps=steps,
        epochs=epochs,
        minutes=minutes,
        held_out=held_out,
        seed=seed,
        device=device,
        processes=processes,
        start_from=PACKAGED_WEIGHTS if start_from == SHIPPED else start_from,
        average_with=tuple(average_with or ()),
    )
    if folds is not None:
        with research_screen.progress() as tell:
            found = cross_validation.run(plan, folds, _typed(), tell, research_screen.show_survey)
        research_screen.show_evaluation(found, found.of, cross_validation.folder_of(plan), as_json)
        return
    with research_screen.progress() as tell:
        card = training.run(plan, tell, research_screen.show_survey).card
    if as_json:
        print_json(card)
    else:
        OUT.print(
            research_screen.table(summary.rows(card["scores"]), f"Scores of {out_file.name} on patients held out")
        )
        OUT.print(card["intended_use"], style="dim")


def evaluate(
    weights: Annotated[Path, typer.Option(help="The model to judge.", exists=True, dir_okay=False)] = PACKAGED_WEIGHTS,
    folder: Annotated[Path, typer.Option("--out", help="Folder for table, JSON and figures.")] = Path("evaluation"),
    dataset: Datasets = None,
    everyone: Annotated[
        bool, typer.Option("--everyone", help="All patients of the data sets, not the test side alone.")
    ] = False,
    phantoms: Annotated[int, typer.Option(help="Held-out phantoms, where no data set is given.", min=1)] = 30,
    sweep: Annotated[
        bool | None,
        typer.Option(
            help="Vary kernel, noise and slice thickness of phantoms as well: many minutes.",
            show_default="unless a data set is given",
        ),
    ] = None,
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
    quantities: Annotated[
        bool,
        typer.Option("--quantities", help="Every number that is reported beside the truth of phantoms, nothing else."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Judge a model patient by patient: Dice, error and bias of extent, ICC, Goh category, lung mask, sweep.

    Phantoms have seeds, kernels and noise that were not trained on. Of a data set the test side is judged; patients
    that the model was trained on are refused.
    """
    if look is not None:
        _look(look, weights, folder, device, as_json)
        return
    if quantities:
        _quantities(weights, folder, phantoms, device, as_json)
        return
    from worker.training.evaluation import comparison, judge  # noqa: PLC0415

    varied = not dataset if sweep is None else sweep
    asked = judge.Request(
        weights, tuple(dataset or ()), everyone, phantoms, SWEEP_PATIENTS if varied else 0, seed, device, processes
    )
    if against is not None:
        with research_screen.progress() as tell:
            both = comparison.run(asked, against, _typed(), tell)
        comparison.write(both, folder)
        research_screen.show_comparison(both, folder, as_json)
        return
    with research_screen.progress() as tell:
        evaluation = judge.run(asked, _typed(), tell)
    judge.write(evaluation, folder)
    research_screen.show_evaluation(evaluation, f"{weights.name}: {evaluation.of}", folder, as_json)


def _look(series_folder: Path, weights: Path, folder: Path, device: str, as_json: bool) -> None:
    from worker import look  # noqa: PLC0415
    from worker.analysis.patterns import model  # noqa: PLC0415

    with research_screen.progress() as tell:
        rows = look.run(series_folder, model.load(weights, device), folder, tell)
    if as_json:
        print_json(look.as_json(rows))
    else:
        OUT.print(f"{len(rows)} series looked at; table, JSON and pictures: {folder}", style="dim")


def _quantities(weights: Path, folder: Path, phantoms: int, device: str, as_json: bool) -> None:
    from worker.training.data.cases import CasePlan  # noqa: PLC0415
    from worker.training.evaluation import quantities, quantities_table  # noqa: PLC0415

    with research_screen.progress() as tell:
        judged = quantities.run(weights, device, range(quantities.SEED, quantities.SEED + phantoms), CasePlan(), tell)
    written = quantities_table.write(judged, weights, _typed(), folder)
    if as_json:
        print_json(quantities_table.as_json(judged))
    else:
        OUT.print(f"every quantity of {phantoms} phantoms: {written}", style="dim")


def _typed() -> str:
    return shlex.join(["scleroscan", *sys.argv[1:]])
