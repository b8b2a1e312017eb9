"""Which engine runs the network: known without importing any of them."""

from enum import StrEnum


class EngineName(StrEnum):
    """What can run the network."""

    TORCH = "torch"
    OPENVINO = "openvino"


def choose(wanted: str, on_cpu: bool) -> EngineName:
    """Return what runs where ``auto``, ``torch`` or ``openvino`` is wanted; OpenVINO runs on a CPU alone."""
    return EngineName.OPENVINO if on_cpu and wanted != EngineName.TORCH else EngineName.TORCH
