"""The pattern model: network, thresholds and card, loaded once per process."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from worker.analysis import card as model_card
from worker.analysis.patterns import converted, engine, network
from worker.analysis.patterns.engine import Engine
from worker.errors import DeviceUnavailable, WeightsMismatch


@dataclass(frozen=True, eq=False)
class PatternModel:
    """A network ready to run.

    Attributes
    ----------
    thresholds
        Probability above which a voxel counts, for lesion, reticulation and consolidation.
    spreads
        How far each threshold moves, in logits, to either side for the bounds of the extent.
    margins
        By how much the bounds lie further apart yet, as shares of the lung.
    step_mm
        In-plane voxel size that the network was trained at.
    reach_mm
        Distance to the neighbouring slices that it was trained with.
    """

    engine: Engine
    thresholds: tuple[float, float, float]
    spreads: tuple[float, float, float]
    margins: tuple[float, float, float]
    step_mm: float
    reach_mm: float
    digest: str
    name: str
    version: str
    card: dict[str, Any]
    device: torch.device


def load(weights: Path, device: str = "auto", runs_on: str = "auto", cache: Path | None = None) -> PatternModel:
    """Load a model from safetensors with its card beside it.

    Parameters
    ----------
    weights
        The safetensors file; its card has the same name and the suffix ``.json``.
    device
        ``auto`` (the first GPU, else the CPU), ``cpu`` or ``cuda:N``.
    runs_on
        ``auto`` (the fastest for the device), ``torch`` or ``openvino``.
    cache
        Folder in which the network is kept as OpenVINO reads it; None converts it anew.

    Raises
    ------
    WeightsMismatch
        The weights are missing, damaged, of another network, or not those of the card.
    DeviceUnavailable
        The GPU asked for is not there.
    """
    card = model_card.read(weights)
    target = choose_device(device)
    point = model_card.working_point(weights)
    thresholds, spreads, margins = (
        (point[f"lesion{kind}"], point[f"reticulation{kind}"], point[f"consolidation{kind}"])
        for kind in ("", "_spread", "_margin")
    )
    return PatternModel(
        engine=engine.start(lambda: weighted(weights), target, runs_on, partial(converted.kept, cache, card["digest"])),
        thresholds=thresholds,
        spreads=spreads,
        margins=margins,
        step_mm=point["step_mm"],
        reach_mm=point["reach_mm"],
        digest=card["digest"],
        name=card["name"],
        version=card["version"],
        card=card,
        device=target,
    )


def weighted(weights: Path) -> torch.nn.Module:
    """Return the network with weights from a file, float32 on the CPU. Raises WeightsMismatch where they do not fit."""
    unet = network.build()
    try:
        unet.load_state_dict(load_file(weights))
    except (SafetensorError, RuntimeError) as error:
        raise WeightsMismatch(f"{weights.name} does not fit the network of this version: {error}") from error
    if endless := [name for name, tensor in unet.state_dict().items() if not bool(torch.isfinite(tensor).all())]:
        raise WeightsMismatch(f"{weights.name} holds numbers that are none, in {', '.join(endless)}")
    return unet


def choose_device(wanted: str) -> torch.device:
    """Return the device for ``auto``, ``cpu`` or ``cuda:N``. Raises DeviceUnavailable where it is not there."""
    if wanted == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    device = torch.device(wanted)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceUnavailable(f"there is no {wanted} here; set WORKER_DEVICE to auto or cpu")
    return device
