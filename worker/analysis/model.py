"""The pattern model: network, thresholds and card, loaded once per process."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from worker.analysis import card as model_card
from worker.analysis import network
from worker.errors import DeviceUnavailable, WeightsMismatch


@dataclass(frozen=True, eq=False)
class PatternModel:
    """A network ready to run.

    Attributes
    ----------
    thresholds
        Probability above which a voxel counts, for (lesion, reticulation).
    step_mm
        In-plane voxel size that the network was trained at.
    reach_mm
        Distance to the neighbouring slices that it was trained with.
    """

    network: torch.nn.Module
    thresholds: tuple[float, float]
    step_mm: float
    reach_mm: float
    digest: str
    name: str
    version: str
    card: dict[str, Any]
    device: torch.device
    dtype: torch.dtype


def load(weights: Path, device: str = "auto") -> PatternModel:
    """Load a model from safetensors with its card beside it.

    Parameters
    ----------
    weights
        The safetensors file; its card has the same name and the suffix ``.json``.
    device
        ``auto`` (the first GPU, else the CPU), ``cpu`` or ``cuda:N``.

    Raises
    ------
    WeightsMismatch
        The weights are missing, damaged, of another network, or not those of the card.
    DeviceUnavailable
        The GPU asked for is not there.
    """
    card = model_card.read(weights)
    target = choose_device(device)
    unet = network.build()
    try:
        unet.load_state_dict(load_file(weights))
    except (SafetensorError, RuntimeError) as error:
        raise WeightsMismatch(f"{weights.name} does not fit the network of this version: {error}") from error
    dtype = fastest_dtype(target)
    unet = network.placed(unet.eval(), target, dtype)
    return PatternModel(
        network=unet,
        thresholds=(float(card["thresholds"]["lesion"]), float(card["thresholds"]["reticulation"])),
        step_mm=float(card["step_mm"]),
        reach_mm=float(card["reach_mm"]),
        digest=card["digest"],
        name=card["name"],
        version=card["version"],
        card=card,
        device=target,
        dtype=dtype,
    )


def choose_device(wanted: str) -> torch.device:
    """Return the device for ``auto``, ``cpu`` or ``cuda:N``. Raises DeviceUnavailable where it is not there."""
    if wanted == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    device = torch.device(wanted)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceUnavailable(f"there is no {wanted} here; set WORKER_DEVICE to auto or cpu")
    return device


def fastest_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16 where the processor computes in it, else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if torch.ops.mkldnn._is_mkldnn_bf16_supported() else torch.float32
