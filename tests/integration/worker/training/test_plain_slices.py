"""The how-to for plain slices, walked as it stands on computed ones: PNG, one folder a patient, spacing unknown."""

import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image

from compose import command_line
from tests.support import REPOSITORY
from tests.support.labelled import patient, tiny_plan
from worker.phantom.chest_ct import render
from worker.training.data import layouts, survey
from worker.training.data.scans import Kind
from worker.training.fit import cross_validation

HOW_TO = REPOSITORY / "docs" / "how-to" / "train-a-model.md"
SLICES = slice(3, 14, 2)


def silent(what: str, done: int, total: int) -> None:
    """Report nothing."""


def chapter() -> str:
    return HOW_TO.read_text(encoding="utf-8").split("## Plain slices")[1].split("\n## ")[0]


def write_patient(folder: Path, seed: int) -> None:
    phantom = render(patient(seed))
    grey = np.clip((phantom.volume.hu[SLICES] + 1350) / 1500 * 255, 0, 255).round().astype(np.uint8)
    masks = {
        "ct": grey,
        "ground_glass": phantom.patterns.labels[SLICES] == 1,
        "reticulation": phantom.patterns.labels[SLICES] == 2,
        "lung": phantom.lungs.labels[SLICES] > 0,
    }
    for name, stack in masks.items():
        (folder / name).mkdir(parents=True)
        for index, plane in enumerate(stack, start=1):
            shown = plane if name == "ct" else plane.astype(np.uint8) * 255
            Image.fromarray(shown).save(folder / name / f"{index:03d}.png")


@pytest.fixture(scope="module")
def slices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four patients, and the YAML file as the how-to has it."""
    folder = tmp_path_factory.mktemp("slices")
    for seed in range(4):
        write_patient(folder / f"P{seed}", seed)
    (block,) = re.findall(r"```yaml\n(.*?)```", chapter(), flags=re.DOTALL)
    path = folder / "slices.yaml"
    path.write_text("\n".join(line.removeprefix("   ") for line in block.splitlines()), encoding="utf-8")
    return path


def test_the_file_of_the_how_to_finds_all_patients(slices: Path) -> None:
    found = survey.of(slices, silent)
    found.require()
    assert (found.patients, found.assumed) == (4, 4)
    assert {row.kind for row in found.rows} == {Kind.ground_glass, Kind.reticulation, Kind.lung}


def test_masks_and_assumed_spacing_lie_on_the_slices(slices: Path) -> None:
    (read,) = layouts.labelled(slices, {"P1"})
    truth = render(patient(1))
    assert np.array_equal(read.patterns.labels == 2, truth.patterns.labels[SLICES] == 2)
    assert read.volume.spacing_mm == pytest.approx((10.0, 350 / 64, 350 / 64))
    extent = (read.patterns.labels > 0).sum() / (read.lungs.labels > 0).sum()
    assert 0.02 < extent < 0.6


def test_a_model_is_trained_and_judged_on_slices_alone(slices: Path, tmp_path: Path) -> None:
    plan = replace(tiny_plan(tmp_path), cases=0, datasets=(slices,), steps=1)
    found = cross_validation.run(plan, 3, "train", silent)
    assert len(found.patients) == 4
    assert {row.regions["total"].true_pct > 0 for row in found.patients} == {True}


def test_every_option_of_the_how_to_is_one_of_the_command() -> None:
    (line,) = re.findall(r"`(scleroscan train [^`]*)`", chapter())
    train = typer.main.get_command(command_line.app).commands["train"]
    known = {name for option in train.params for name in option.opts}
    assert {word for word in shlex.split(line) if word.startswith("--")} <= known
