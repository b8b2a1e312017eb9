"""OpenVINO without its telemetry, which looks up a host outside and writes an id of its own into the home folder."""

import sys

# A module that is None cannot be imported (Python reference 5.3.1); OpenVINO then takes a stub that does nothing.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

import openvino  # noqa: E402  after what would be imported with it is switched off

__all__ = ["openvino"]
