"""Looks at real series that nobody has labelled: numbers, flags and contact sheets of a whole folder, for people."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.analysis import card as model_card
from worker.analysis import lungs, patterns, quantify
from worker.analysis.patterns.model import PatternModel
from worker.analysis.records import Assessment, Quantity, Region, Side
from worker.errors import InputRejected
from worker.reading import chest, series
from worker.reading.volume import CTVolume
from worker.results import files, picture
from worker.training.data import layouts
from worker.training.errors import DatasetRejected
from worker.training.evaluation import score

IMAGE_SUFFIX, LUNGS_SUFFIX = "_ct.nii.gz", "_lungs.nii.gz"
PAIRS = 24
MEASURED = "measured"
PATTERNS = (Region.TOTAL, Region.GROUND_GLASS, Region.RETICULATION, Region.CONSOLIDATION)
HEAD = (
    "series",
    "slices × mm",
    "outcome",
    "lungs right + left, ml",
    "disease, %",
    "ground glass",
    "reticulation",
    "consolidation",
    "Dice lungs",
    "s",
    "quality flags",
)
Report = Callable[[str, int, int], None]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Looked:
    """One series: ``outcome`` is ``measured``, or the code of what refused or doubted it.

    ``extent_pct`` is by region, ``lung_ml`` by side; ``dice_lungs`` None where no lungs are given.
    """

    name: str
    outcome: str
    slices: int = 0
    slice_mm: float = 0.0
    lung_ml: dict[str, float] = field(default_factory=dict)
    extent_pct: dict[str, float] = field(default_factory=dict)
    dice_lungs: float | None = None
    flags: dict[str, float | None] = field(default_factory=dict)
    seconds: float = 0.0


def run(folder: Path, model: PatternModel, out: Path, tell: Report) -> list[Looked]:
    """Look at every series below a folder and write ``look.md``, ``look.json`` and one picture a series into ``out``.

    A folder with files is one series, unless it holds NIfTI: there ``X_ct.nii.gz`` is an image in HU, and
    ``X_lungs.nii.gz`` its lungs as somebody drew them. What cannot be measured is a line with its code.
    """
    sources = list(_sources(folder))
    rows = []
    for number, (name, path) in enumerate(sources, start=1):
        rows.append(_looked(name, path, model, out))
        tell("looking", number, len(sources))
    out.mkdir(parents=True, exist_ok=True)
    (out / "look.json").write_text(json.dumps(as_json(rows), indent=1) + "\n", encoding="utf-8")
    (out / "look.md").write_text(markdown(rows, model), encoding="utf-8")
    return rows


def _sources(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield (name, folder of a DICOM series or NIfTI file), in order of their names."""
    for one in sorted({path.parent for path in folder.rglob("*") if path.is_file()}):
        images = sorted(one.glob(f"*{IMAGE_SUFFIX}"))
        name = one.relative_to(folder).as_posix()
        if images:
            yield from ((f"{name}/{image.name.removesuffix(IMAGE_SUFFIX)}", image) for image in images)
        else:
            yield name, one


def _looked(name: str, path: Path, model: PatternModel, out: Path) -> Looked:
    started = time.monotonic()
    try:
        volume, true_lungs = _read(path)
        lung_mask = lungs.segment(volume)
        found = patterns.segment(volume, lung_mask, model)
    except (DatasetRejected, InputRejected) as error:
        return Looked(name, error.code)
    seconds = time.monotonic() - started
    assessment = quantify.assess(volume, lung_mask, found)
    doubt = quantify.implausible(assessment)
    sheet = picture.contact_sheet(volume, lung_mask, found, model_card.statement(model.card), PAIRS)
    files.write_picture(out, name.replace("/", "-"), sheet)
    return Looked(
        name=name,
        outcome=doubt.code if doubt else MEASURED,
        slices=len(volume.hu),
        slice_mm=round(volume.anatomical_spacing_mm[0], 2),
        lung_ml={
            side: round(_value(assessment, Region.LUNG, Quantity.VOLUME, side)) for side in (Side.RIGHT, Side.LEFT)
        },
        extent_pct={region: round(_value(assessment, region, Quantity.EXTENT), 2) for region in PATTERNS},
        dice_lungs=None if true_lungs is None else score.dice(lung_mask.labels > 0, true_lungs),
        flags={flag.code: flag.value for flag in assessment.flags},
        seconds=round(seconds, 1),
    )


def _read(path: Path) -> tuple[CTVolume, Mask | None]:
    if path.is_dir():
        volume = series.read(sorted(file for file in path.iterdir() if file.is_file())).volume
        chest.require(volume)
        return volume, None
    mask = path.with_name(path.name.replace(IMAGE_SUFFIX, LUNGS_SUFFIX))
    return layouts.image_with_mask(path, mask if mask.exists() else None)


def _value(assessment: Assessment, region: Region, quantity: Quantity, side: Side = Side.BOTH) -> float:
    try:
        return assessment.value(region, quantity, side)
    except KeyError:
        return 0.0


def markdown(rows: Sequence[Looked], model: PatternModel) -> str:
    """Return the table for people."""
    lines = [HEAD, ("---",) * len(HEAD), *map(_line, rows)]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"# Real series, looked at\n\n{model_card.title(model.card)}. {model_card.statement(model.card)}\n\n{table}"


def _line(row: Looked) -> tuple[str, ...]:
    if not row.slices:
        return (row.name, "", row.outcome, *[""] * (len(HEAD) - 3))
    flags = ", ".join(code if value is None else f"{code} {value:g}" for code, value in row.flags.items())
    return (
        row.name,
        f"{row.slices} × {row.slice_mm:g}",
        row.outcome,
        " + ".join(f"{value:.0f}" for value in row.lung_ml.values()),
        *(f"{value:.2f}" for value in row.extent_pct.values()),
        "" if row.dice_lungs is None else f"{row.dice_lungs:.4f}",
        f"{row.seconds:.1f}",
        flags,
    )


def as_json(rows: Sequence[Looked]) -> list[dict[str, Any]]:
    """Return the rows for machines."""
    return [asdict(row) for row in rows]
