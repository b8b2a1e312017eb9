"""Weights as a file: in half precision where that holds them, and refused where they hold numbers that are none."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from worker.analysis.patterns import model as pattern_model
from worker.analysis.patterns import network
from worker.errors import WeightsMismatch
from worker.training.fit import publish
from worker.training.fit.plan import TrainingPlan
from worker.training.fit.train import as_model

STATISTIC = "decoder.blocks.0.conv1.1.running_var"
BEYOND_HALF = 75_000.0


def written(folder: Path) -> Path:
    """Write a network whose statistics are larger than half precision holds."""
    unet = network.build()
    unet.state_dict()[STATISTIC][0] = BEYOND_HALF
    plan = TrainingPlan(folder / "model.safetensors", folder)
    publish.weights(unet, as_model(unet.eval(), plan, torch.device("cpu")), plan)
    return plan.out


def test_large_statistics_come_back_as_they_were(tmp_path: Path) -> None:
    back = pattern_model.weighted(written(tmp_path)).state_dict()
    assert float(back[STATISTIC][0]) == BEYOND_HALF


def test_weights_with_an_endless_number_are_refused(tmp_path: Path) -> None:
    stored = load_file(written(tmp_path))
    stored[STATISTIC][0] = float("inf")
    save_file(stored, tmp_path / "endless.safetensors")
    with pytest.raises(WeightsMismatch, match=STATISTIC):
        pattern_model.weighted(tmp_path / "endless.safetensors")
