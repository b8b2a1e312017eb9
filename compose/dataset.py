"""The command ``dataset check``: labelled data, looked at before anything is learnt from them."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from compose import research_screen
from compose.json_output import AsJson, print_json
from compose.screen import OUT


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

    with research_screen.progress() as tell:
        found = survey.of(file, tell)
    if not as_json:
        OUT.print(research_screen.survey_table(found))
    found.require()
    agreed, sides = readers.of(file), split.assign(dataset_file.read(file), seed)
    if as_json:
        print_json({**found.as_json(), "sides": sides.as_json(), "readers": [asdict(row) for row in agreed]})
        return
    if agreed:
        OUT.print(research_screen.table(readers.table_rows(agreed), "Readers among themselves", readers.HEAD))
    for side, names in sides.as_json().items():
        OUT.print(f"{side}: {', '.join(names)}", highlight=False)
