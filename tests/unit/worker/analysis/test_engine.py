"""Engines: the same network gives the same masks whatever runs it."""

import numpy as np
import pytest
import torch

from worker.analysis.patterns import engine, network
from worker.analysis.patterns.engine import OpenVinoEngine, TorchEngine, convert

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def unet() -> torch.nn.Module:
    torch.manual_seed(0)
    return network.build().eval()


@pytest.fixture(scope="module")
def stacks() -> torch.Tensor:
    return torch.randn(3, network.SLICES_IN, 64, 96, generator=torch.Generator().manual_seed(1))


def test_openvino_in_float32_gives_what_torch_gives(unet: torch.nn.Module, stacks: torch.Tensor) -> None:
    reference = TorchEngine.from_unet(unet, CPU, torch.float32)(stacks)
    assert reference.shape == (3, len(network.OUTPUTS), 64, 96)
    assert torch.allclose(OpenVinoEngine(convert(unet), "f32")(stacks), reference, atol=1e-3)


def test_a_size_seen_before_is_not_compiled_again(unet: torch.nn.Module, stacks: torch.Tensor) -> None:
    runs = OpenVinoEngine(convert(unet), "f32")
    shapes = [(64, 64), (64, 96), (96, 64), (96, 96), (32, 32)]
    for rows, columns in shapes:
        assert runs(torch.zeros(1, 3, rows, columns)).shape[2:] == (rows, columns)
    assert len(runs._compiled) == engine.SIZES_KEPT
    kept = runs._compiled[3, 64, 96]
    runs(stacks)
    assert runs._compiled[3, 64, 96] is kept


def test_a_cpu_takes_openvino_unless_torch_is_asked_for(unet: torch.nn.Module) -> None:
    assert engine.start(lambda: unet, CPU).name == "openvino"
    chosen = engine.start(lambda: unet, CPU, "torch")
    assert (chosen.name, chosen.precision) == ("torch", str(engine.fastest_dtype(CPU)).rpartition(".")[2])
    unet.float()


def test_a_batch_is_the_same_as_its_slices_one_by_one(unet: torch.nn.Module, stacks: torch.Tensor) -> None:
    runs = OpenVinoEngine(convert(unet), "f32")
    together, alone = runs(stacks), torch.cat([runs(one[None]) for one in stacks])
    assert np.array_equal(together.numpy(), alone.numpy())
