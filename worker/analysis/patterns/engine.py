"""The engines that run the network: torch on a GPU, OpenVINO on a CPU."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from worker.analysis import engine_choice
from worker.analysis.engine_choice import EngineName
from worker.analysis.patterns import network
from worker.analysis.patterns.openvino_alone import openvino

# For so many sizes of slices the compiled network is kept; another series often has another size.
SIZES_KEPT = 4


class Engine(Protocol):
    """A network that is ready to run."""

    @property
    def name(self) -> str:
        """Name of the engine."""
        ...

    @property
    def precision(self) -> str:
        """Number type that it computes in."""
        ...

    def __call__(self, stacks: torch.Tensor) -> torch.Tensor:
        """Return logits float32 (batch, 3, rows, columns) for float32 stacks of that shape, on their device."""
        ...


@dataclass(frozen=True, eq=False)
class TorchEngine:
    """The network in torch, channels last, in bfloat16 where the processor computes in it."""

    unet: torch.nn.Module
    dtype: torch.dtype
    name: str = EngineName.TORCH

    @property
    def precision(self) -> str:
        """Number type that it computes in."""
        return str(self.dtype).rpartition(".")[2]

    @classmethod
    def from_unet(cls, unet: torch.nn.Module, device: torch.device, dtype: torch.dtype | None = None) -> "TorchEngine":
        """Place a network on its device, in its fastest number type unless one is given."""
        dtype = dtype or fastest_dtype(device)
        return cls(network.placed(unet.eval(), device, dtype), dtype)

    @torch.inference_mode()
    def __call__(self, stacks: torch.Tensor) -> torch.Tensor:
        """Run a batch."""
        prepared = stacks.to(dtype=self.dtype, memory_format=torch.channels_last)
        logits: torch.Tensor = self.unet(prepared).float()
        return logits


@dataclass(frozen=True, eq=False)
class OpenVinoEngine:
    """The network in OpenVINO, compiled for one size of slices at a time: fixed sizes run faster than free ones."""

    model: openvino.Model
    precision: str
    name: str = EngineName.OPENVINO
    _compiled: dict[tuple[int, ...], Any] = field(default_factory=dict)

    @classmethod
    def of(cls, model: openvino.Model) -> "OpenVinoEngine":
        """Run a converted network in what the processor computes fastest in."""
        return cls(model, "bf16" if fastest_dtype(torch.device("cpu")) == torch.bfloat16 else "f32")

    def __call__(self, stacks: torch.Tensor) -> torch.Tensor:
        """Run a batch, one by one: nothing is gained by more at a time."""
        run = self._compiled_for(tuple(stacks.shape[1:]))
        return torch.cat([torch.from_numpy(run([one[None].contiguous().numpy()])[0]) for one in stacks])

    def _compiled_for(self, shape: tuple[int, ...]) -> Any:
        if shape not in self._compiled:
            if len(self._compiled) == SIZES_KEPT:
                del self._compiled[next(iter(self._compiled))]
            self._compiled[shape] = self._compile(shape)
        return self._compiled[shape]

    def _compile(self, shape: tuple[int, ...]) -> Any:
        fixed = self.model.clone()
        fixed.reshape([1, *shape])
        hints = {
            "INFERENCE_PRECISION_HINT": self.precision,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        return openvino.Core().compile_model(fixed, "CPU", hints)


def convert(unet: torch.nn.Module) -> openvino.Model:
    """Return a network as OpenVINO reads it, in float32."""
    example = torch.zeros(1, network.SLICES_IN, 2 * network.STRIDE, 2 * network.STRIDE)
    unet = unet.float().eval().requires_grad_(False)

    def run(stacks: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = unet(stacks)
        return logits

    with warnings.catch_warnings(), torch.inference_mode():
        # OpenVINO's converter takes what torch.jit.trace makes, for which torch warns that it is deprecated.
        warnings.simplefilter("ignore")
        # A function, whose weights are constants: of a module each of its modules would be looked through as well.
        traced = torch.jit.trace(run, example, check_trace=False)
        return openvino.convert_model(traced, example_input=example)


def start(
    unet: Callable[[], torch.nn.Module],
    device: torch.device,
    wanted: str = "auto",
    keep: Callable[[Callable[[], openvino.Model]], openvino.Model] | None = None,
) -> Engine:
    """Return the engine for a network on its device: ``auto``, ``torch`` or ``openvino``, which runs on a CPU alone.

    ``keep`` may return a converted network that it has, instead of having it made; then ``unet`` is not called.
    """
    if engine_choice.choose(wanted, device.type == "cpu") is EngineName.TORCH:
        return TorchEngine.from_unet(unet(), device)

    def converted() -> openvino.Model:
        return convert(unet())

    return OpenVinoEngine.of(keep(converted) if keep else converted())


def fastest_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16 where the processor computes in it, else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if torch.ops.mkldnn._is_mkldnn_bf16_supported() else torch.float32
