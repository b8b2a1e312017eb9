"""Slices of diseased lungs without lines: what another model calls diseased is, and none of it is reticulation."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch

from tests.support.ct import TinyCT
from worker.analysis.patterns.model import PatternModel
from worker.analysis.records import CONSOLIDATION, GROUND_GLASS
from worker.errors import InputRejected
from worker.training.data import without_lines
from worker.training.data.cases import HEALTHY, OUTSIDE
from worker.training.errors import TrainingError
from worker.training.fit.plan import TrainingPlan

CT = TinyCT(slices=2, rows=128, columns=160, changes={"PixelSpacing": [1.0, 1.0]})


@dataclass(frozen=True)
class Stripes:
    """Lung in the middle; its columns, from the left: reticulation, consolidation, plain disease, healthy."""

    lung_rows: int = 64
    name: str = "stripes"
    precision: str = "f32"

    def __call__(self, stacks: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        assert torch.equal(stacks[:, 0], stacks[:, 1])
        logits = torch.full((len(stacks), 4, *stacks.shape[2:]), -9.0)
        logits[:, 0, :, :120] = 9.0
        logits[:, 1, :, :40] = 9.0
        logits[:, 2, :, 40:80] = 9.0
        logits[:, 3, : self.lung_rows] = 9.0
        return logits


def teacher(lung_rows: int = 64) -> PatternModel:
    return PatternModel(
        Stripes(lung_rows), (0.5,) * 3, (0.0,) * 3, (0.0,) * 3, 1.0, 2.0, "", "", "", {}, torch.device("cpu")
    )


def test_what_the_teacher_calls_reticulation_is_ground_glass(tmp_path: Path) -> None:
    CT.write(tmp_path / "patient")
    cases = list(without_lines.cases(tmp_path, teacher()))
    assert len(cases) == 2 * without_lines.EACH_COUNTS
    case = cases[0]
    assert (case.patient, case.exposed, case.spacing_mm[1:]) == ("without lines patient", True, (1.0, 1.0))
    assert np.array_equal(case.hu[0], CT.hu()[0])
    stripes = [HEALTHY + GROUND_GLASS, HEALTHY + CONSOLIDATION, HEALTHY + GROUND_GLASS, HEALTHY]
    assert case.labels[0, 20, [20, 60, 100, 140]].tolist() == stripes
    assert case.labels[0, 100, [20, 60, 100, 140]].tolist() == [OUTSIDE] * 4


def test_a_slice_without_lung_is_refused(tmp_path: Path) -> None:
    CT.write(tmp_path)
    with pytest.raises(InputRejected, match="shows no lung") as refused:
        list(without_lines.cases(tmp_path, teacher(lung_rows=4)))
    assert refused.value.code == "no_lungs"


def test_a_slice_of_unknown_size_is_refused(tmp_path: Path) -> None:
    path = CT.write(tmp_path)[0]
    header = pydicom.dcmread(path)
    del header.PixelSpacing
    header.save_as(path)
    with pytest.raises(InputRejected, match="no PixelSpacing"):
        list(without_lines.cases(tmp_path, teacher()))


def test_without_a_teacher_nothing_is_learnt(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="--start-from") as refused:
        TrainingPlan(tmp_path / "m.safetensors", tmp_path / "cache", without_lines=tmp_path)
    assert refused.value.code == "teacher_missing"
