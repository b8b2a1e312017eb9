"""The U-Net of segmentation-models-pytorch, made to import beside a CPU build of torch."""

import importlib
import sys
from typing import Final

import torch

# Three neighbouring slices in; logits of lesion, of the two patterns within it, and of lung out.
SLICES_IN: Final = 3
OUTPUTS: Final = ("lesion", "reticulation", "consolidation", "lung")
LESION, RETICULATION, CONSOLIDATION, LUNG = range(len(OUTPUTS))
ENCODER: Final = "mobilenet_v2"
DECODER: Final = (128, 64, 32, 16, 8)
STRIDE: Final = 32
# Operators live as long as the library object that declared them.
_declared: list[torch.library.Library] = []


def build() -> torch.nn.Module:
    """Return an untrained network: float (batch, 3, rows, columns) → logits (batch, 4, rows, columns).

    Rows and columns are multiples of 32. Weights are random: nothing is fetched.
    """
    _import_torchvision()
    smp = importlib.import_module("segmentation_models_pytorch")
    network: torch.nn.Module = smp.Unet(
        encoder_name=ENCODER,
        encoder_weights=None,
        decoder_channels=DECODER,
        in_channels=SLICES_IN,
        classes=len(OUTPUTS),
    )
    return network


def placed(unet: torch.nn.Module, device: torch.device, dtype: torch.dtype) -> torch.nn.Module:
    """Move a network to its device and number type, channels last: the layout that convolutions run fastest in."""
    unet.to(device, dtype)
    for parameter in unet.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return unet


def _import_torchvision() -> None:
    """Import torchvision, whose published build expects operators that a CPU build of torch lacks.

    Only their schemas are asked for at import; the network uses none of them. A torchvision that imports is left alone.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _declared.append(library)
        importlib.import_module("torchvision")
