"""A job's identity changes with whatever decides its numbers."""

import json
import shutil
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from worker import identity
from worker.analysis import card
from worker.analysis.patterns import model
from worker.errors import WeightsMismatch
from worker.settings import PACKAGED_WEIGHTS, WorkerSettings


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    for suffix in (".safetensors", ".json"):
        shutil.copy(PACKAGED_WEIGHTS.with_suffix(suffix), tmp_path / f"w{suffix}")
    return tmp_path / "w.safetensors"


def test_another_engine_or_analysis_is_another_identity(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual, torch = (
        identity.current(WorkerSettings(weights=weights, device="cpu", engine=name)) for name in ("auto", "torch")
    )
    assert usual.model_digest == torch.model_digest
    assert usual.settings_digest != torch.settings_digest
    monkeypatch.setattr(identity, "ANALYSIS_VERSION", identity.ANALYSIS_VERSION + 1)
    assert identity.current(WorkerSettings(weights=weights, device="cpu")).settings_digest != usual.settings_digest


@pytest.mark.parametrize(("device", "runs"), [("cpu", "openvino"), ("cuda:0", "torch")])
def test_auto_is_the_engine_that_it_stands_for(weights: Path, device: str, runs: str) -> None:
    auto, named = (identity.current(WorkerSettings(weights=weights, device=device, engine=e)) for e in ("auto", runs))
    assert auto == named == identity.of(card.digest(weights), runs)


def test_openvino_wanted_on_a_gpu_is_torch(weights: Path) -> None:
    wanted = WorkerSettings(weights=weights, device="cuda:0", engine="openvino")
    assert identity.current(wanted) == identity.of(card.digest(weights), "torch")


def test_a_loaded_model_has_the_identity_that_was_foretold(weights: Path) -> None:
    for engine in ("auto", "torch", "openvino"):
        loaded = model.load(weights, "cpu", engine)
        foretold = identity.current(WorkerSettings(weights=weights, device="cpu", engine=engine))
        assert identity.of(loaded.digest, loaded.engine.name) == foretold


def test_the_digest_of_the_weights_covers_their_thresholds(weights: Path) -> None:
    before = card.digest(weights)
    point = card.working_point(weights) | {"lesion": 0.123}
    save_file(load_file(weights), weights, metadata={card.WORKING_POINT: json.dumps(point)})
    assert card.file_digest(weights) != before


def test_weights_that_are_not_their_cards_are_refused(weights: Path) -> None:
    weights.write_bytes(weights.read_bytes() + b"\0")
    with pytest.raises(WeightsMismatch, match="digests differ"):
        identity.current(WorkerSettings(weights=weights))
