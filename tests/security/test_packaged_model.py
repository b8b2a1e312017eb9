"""The packaged model is the one that the code names: weights and card that are both exchanged do not pass for it."""

import json
import shutil
from pathlib import Path

import pytest

from worker import packaged_model
from worker.analysis import card
from worker.errors import WeightsMismatch
from worker.settings import WorkerSettings


def test_the_pinned_digest_is_that_of_the_packaged_weights() -> None:
    assert WorkerSettings().weights == packaged_model.WEIGHTS
    assert card.file_digest(packaged_model.WEIGHTS) == packaged_model.DIGEST


@pytest.fixture
def exchanged(tmp_path: Path) -> Path:
    """Other weights under the packaged name, with a card that fits them."""
    weights = tmp_path / packaged_model.WEIGHTS.name
    shutil.copy(packaged_model.WEIGHTS, weights)
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    written = json.loads(packaged_model.WEIGHTS.with_suffix(".json").read_text(encoding="utf-8"))
    card_file = weights.with_suffix(".json")
    card_file.write_text(json.dumps(written | {"digest": card.file_digest(weights)}), encoding="utf-8")
    return weights


def test_exchanged_weights_with_a_fitting_card_are_refused(exchanged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged_model, "WEIGHTS", exchanged)
    with pytest.raises(WeightsMismatch, match="packaged") as caught:
        card.read(exchanged)
    assert caught.value.detail["pinned"] == packaged_model.DIGEST


def test_weights_of_a_site_are_held_to_their_card_alone(exchanged: Path) -> None:
    assert card.read(exchanged)["digest"] != packaged_model.DIGEST
