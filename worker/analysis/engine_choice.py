"""Chooses the engine that runs the network, without importing any of them."""

from enum import StrEnum


class EngineName(StrEnum):
    """The engines that can run the network."""

    TORCH = "torch"
    OPENVINO = "openvino"


def choose(wanted: str, on_cpu: bool) -> EngineName:
    """Return the engine for the setting ``auto``, ``torch`` or ``openvino``; OpenVINO runs only on a CPU."""
    return EngineName.OPENVINO if on_cpu and wanted != EngineName.TORCH else EngineName.TORCH
