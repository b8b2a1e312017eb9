"""The way through: what is no chest ends before the outline and the network."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch

from tests.support.ct_files import slices, write
from worker import pipeline
from worker.analysis.patterns.model import PatternModel
from worker.errors import InputRejected


class NeverRun:
    """An engine that fails where it is asked."""

    name = precision = "never"

    def __call__(self, _: torch.Tensor) -> torch.Tensor:
        raise AssertionError("the network saw what is no chest")


def test_what_shows_no_chest_is_refused_before_anything_is_outlined(tmp_path: Path) -> None:
    model = PatternModel(NeverRun(), (0.5, 0.5), 1.0, 2.0, "", "never", "0", {}, torch.device("cpu"))
    task = pipeline.Task(
        tuple(write(tmp_path / "ct", slices())), "k" * 64, datetime(2026, 1, 2, tzinfo=UTC), tmp_path / "results"
    )
    stages: list[str] = []
    with pytest.raises(InputRejected) as caught:
        pipeline.run(task, model, stages.append)
    assert (caught.value.code, stages) == ("not_chest", ["read"])
    assert not (tmp_path / "results").exists()
