"""``python -m tests.bench.engines [--json]``: what may run the network on a CPU, and whether masks agree."""

import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from tests.bench.figures import Row, print_json, print_table
from worker.analysis import patterns
from worker.analysis.patterns import model
from worker.analysis.patterns.engine import Engine, OpenVinoEngine, TorchEngine, convert
from worker.analysis.patterns.model import PatternModel
from worker.analysis.patterns.openvino_alone import openvino
from worker.analysis.records import RETICULATION
from worker.phantom.chest_ct import Phantom, PhantomSpec, render
from worker.settings import WorkerSettings
from worker.training.evaluation.score import dice

ROUNDS = 3
SLICES = 48
CPU = torch.device("cpu")


@dataclass(frozen=True)
class PlainTorch:
    """The network as torch runs it unless told otherwise: float32, channels first."""

    unet: torch.nn.Module
    name: str = "torch"
    precision: str = "float32"

    @torch.inference_mode()
    def __call__(self, stacks: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.unet(stacks.contiguous())
        return answer


@dataclass(frozen=True)
class OnnxEngine:
    """The network in ONNX Runtime."""

    session: Any
    precision: str
    name: str = "ONNX Runtime"

    def __call__(self, stacks: torch.Tensor) -> torch.Tensor:
        answers = [self.session.run(None, {"stack": one[None].numpy()})[0] for one in stacks.contiguous()]
        return torch.from_numpy(np.concatenate(answers))


class Crops(CalibrationDataReader):
    """What int8 is calibrated on: slices of another phantom."""

    def __init__(self, asked: list[np.ndarray]) -> None:
        self._left = iter(asked)

    def get_next(self) -> dict[str, np.ndarray] | None:
        one = next(self._left, None)
        return None if one is None else {"stack": one}


@dataclass
class Listening:
    """Runs torch and keeps what it was asked: calibration data as the network sees it at work."""

    inner: Engine
    asked: list[np.ndarray]
    name: str = "listening"
    precision: str = "float32"

    def __call__(self, stacks: torch.Tensor) -> torch.Tensor:
        self.asked += [one[None].numpy() for one in stacks.contiguous()]
        return self.inner(stacks)


def engines(
    unet: Callable[[], torch.nn.Module], asked: list[np.ndarray], folder: Path
) -> Iterator[tuple[str, str, Engine]]:
    """Yield name, numbers and engine, the plain one first."""
    yield "torch, plain", "float32", PlainTorch(unet().eval())
    yield "torch, channels last", "float32", TorchEngine.from_unet(unet(), CPU, torch.float32)
    yield "torch, channels last", "bfloat16", TorchEngine.from_unet(unet(), CPU, torch.bfloat16)
    whole, small = folder / "f32.onnx", folder / "int8.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            unet().eval(),
            (torch.from_numpy(asked[0]),),
            str(whole),
            input_names=["stack"],
            dynamo=False,
        )
    quant_pre_process(str(whole), str(folder / "prepared.onnx"))
    quantize_static(
        str(folder / "prepared.onnx"),
        str(small),
        Crops(asked[:: max(1, len(asked) // 24)]),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
    )
    for path, precision in ((whole, "float32"), (small, "int8")):
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        yield "ONNX Runtime", precision, OnnxEngine(session, precision)
    yield "OpenVINO", "float32", OpenVinoEngine(convert(unet()), "f32")
    yield "OpenVINO", "bfloat16", OpenVinoEngine(convert(unet()), "bf16")
    yield "OpenVINO", "int8", OpenVinoEngine(openvino.convert_model(str(small)), "f32")


def measured(phantom: Phantom, used: PatternModel) -> tuple[float, np.ndarray]:
    """Return slices per second, median of a few runs after one that does not count, and the labels."""
    found = patterns.segment(phantom.volume, phantom.lungs, used).labels
    holding = int((phantom.lungs.labels > 0).any(axis=(1, 2)).sum())
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        patterns.segment(phantom.volume, phantom.lungs, used)
        times.append(time.perf_counter() - started)
    return holding / statistics.median(times), found


def main() -> None:
    """Print the table."""
    weights = WorkerSettings().weights
    shape = (SLICES, 512, 512)
    spacing_mm = (275 / SLICES, 0.7, 0.7)
    phantom = render(PhantomSpec(seed=11, shape=shape, spacing_mm=spacing_mm, extent_pct=30.0))
    first = model.load(weights, "cpu", "torch")
    # The box around the lungs must be the same: ONNX Runtime is given one size alone.
    listening = Listening(PlainTorch(model.weighted(weights).eval()), [])
    patterns.segment(phantom.volume, phantom.lungs, replace(first, engine=listening))
    rows: list[Row] = []
    reference: np.ndarray | None = None
    plain = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name, numbers, engine in engines(lambda: model.weighted(weights), listening.asked, Path(folder)):
            speed, labels = measured(phantom, replace(first, engine=engine))
            plain, reference = plain or speed, labels if reference is None else reference
            agreement = [dice(labels >= level, reference >= level) or 0.0 for level in (1, RETICULATION)]
            rows.append(
                {
                    "engine": name,
                    "numbers": numbers,
                    "slices/s": speed,
                    "× plain": speed / plain,
                    "Dice of lesion": f"{agreement[0]:.4f}",
                    "Dice of reticulation": f"{agreement[1]:.4f}",
                }
            )
    if "--json" in sys.argv[1:]:
        print_json({"engines": rows})
    else:
        print_table(f"medians of {ROUNDS} rounds", rows)


if __name__ == "__main__":
    main()
