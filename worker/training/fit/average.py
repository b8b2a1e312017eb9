"""Averages weights with those of forerunners: runs with different strengths keep most of both.

See decision 56; Wortsman et al., Robust fine-tuning of zero-shot models, 2022.
"""

from collections.abc import Iterable, Sequence
from itertools import islice

import torch
from torch.optim.swa_utils import update_bn
from torch.utils.data import DataLoader

from worker.analysis.patterns import engine
from worker.analysis.patterns import model as pattern_model
from worker.training.data.cases import Case
from worker.training.data.crops import Crops
from worker.training.fit.plan import TrainingPlan

# The means and deviations between the layers belong to the averaged weights: they are measured anew on so many batches.
SETTLING_BATCHES = 50
SEEDS_APART, SETTLING = 1_000_003, 999_983


def averaged(unet: torch.nn.Module, plan: TrainingPlan, source: Sequence[Case]) -> torch.nn.Module:
    """Return the network with the mean of its weights and those of ``plan.average_with``, ready for work.

    Raises
    ------
    WeightsMismatch
        Some of them are missing, damaged or of another network.
    """
    states = [unet.state_dict(), *(pattern_model.weighted(path).state_dict() for path in plan.average_with)]
    unet.load_state_dict({name: _mean([state[name] for state in states]) for name in states[0]})
    crops = Crops(source, plan.crop, plan.seed * SEEDS_APART + SETTLING)
    _settle(unet, islice(DataLoader(crops, batch_size=plan.batch), SETTLING_BATCHES))
    return unet.eval()


def _mean(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    if not tensors[0].is_floating_point():
        return tensors[0]
    return torch.stack([one.to(tensors[0]) for one in tensors]).mean(dim=0)


def _settle(unet: torch.nn.Module, batches: Iterable[tuple[torch.Tensor, ...]]) -> None:
    device = next(unet.parameters()).device
    stacks = (batch[0].to(memory_format=torch.channels_last) for batch in batches)
    with torch.autocast(device.type, dtype=engine.fastest_dtype(device)):
        update_bn(stacks, unet, device)
