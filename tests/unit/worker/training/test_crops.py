"""Crops to train on: what a slice that was taken alone stands between."""

from itertools import islice

import numpy as np
import torch
from torch.nn import functional

from worker.training.data.cases import HEALTHY, Case
from worker.training.data.crops import CropPlan, Crops

SIDE = 96


def taken_alone() -> Case:
    """A slice of lung with vessels across it."""
    rng = np.random.default_rng(1)
    hu = np.full((1, SIDE, SIDE), -850, np.int16)
    for row, column in rng.integers(0, SIDE - 6, (40, 2)):
        hu[0, row : row + 6, column : column + 6] = 40
    return Case("one", hu, np.full(hu.shape, HEALTHY, np.uint8), (5.0, 0.7, 0.7), exposed=True)


def differences(case: Case, crops: int) -> list[float]:
    """How far the neighbours of each crop lie from its middle slice, without the noise of a pixel."""
    stacks = (stack for stack, _, _ in islice(Crops([case], CropPlan(side=SIDE), seed=3), crops))
    smooth = (functional.avg_pool2d(stack, 4) for stack in stacks)
    return [float(torch.abs(one[[0, 2]] - one[1]).mean()) for one in smooth]


def test_a_slice_taken_alone_mostly_gets_neighbours() -> None:
    found = differences(taken_alone(), 40)
    assert np.mean(np.array(found) > 0.05) > 0.6
    assert min(found) < 0.05
