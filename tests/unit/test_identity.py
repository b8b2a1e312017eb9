"""A job's identity changes with whatever decides its numbers."""

import json
import shutil
from pathlib import Path

import pytest

from worker import identity
from worker.errors import WeightsMismatch
from worker.settings import PACKAGED_WEIGHTS, WorkerSettings


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    for suffix in (".safetensors", ".json"):
        shutil.copy(PACKAGED_WEIGHTS.with_suffix(suffix), tmp_path / f"w{suffix}")
    return tmp_path / "w.safetensors"


def test_other_thresholds_are_another_identity(weights: Path) -> None:
    before = identity.of(WorkerSettings(weights=weights))
    card = json.loads(weights.with_suffix(".json").read_text())
    card["thresholds"]["lesion"] += 0.1
    weights.with_suffix(".json").write_text(json.dumps(card))
    after = identity.of(WorkerSettings(weights=weights))
    assert (after.model_digest, after.settings_digest != before.settings_digest) == (before.model_digest, True)


def test_weights_that_are_not_their_cards_are_refused(weights: Path) -> None:
    weights.write_bytes(weights.read_bytes() + b"\0")
    with pytest.raises(WeightsMismatch, match="digests differ"):
        identity.of(WorkerSettings(weights=weights))
