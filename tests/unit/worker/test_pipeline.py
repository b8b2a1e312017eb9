"""The pipeline: what is no chest ends before the lung segmentation and the network."""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from dicom_node.spool import part10
from tests.support.ct_files import slices, write
from worker import pipeline
from worker.analysis.patterns.model import PatternModel
from worker.errors import InputRejected
from worker.reading.unchanged import ReceivedFile


class NeverRun:
    """An engine that fails where it is asked."""

    name = precision = "never"

    def __call__(self, _: torch.Tensor) -> torch.Tensor:
        raise AssertionError("the network saw what is no chest")


def task_of(paths: Sequence[Path], folder: Path) -> pipeline.Task:
    received = (
        ReceivedFile(path, sha256(part10.image_of_file(path.read_bytes()).dataset).hexdigest()) for path in paths
    )
    return pipeline.Task(tuple(received), "k" * 64, datetime(2026, 1, 2, tzinfo=UTC), folder)


def test_a_series_without_a_chest_is_refused_before_segmentation(tmp_path: Path) -> None:
    model = PatternModel(
        NeverRun(), (0.5,) * 3, (0.0,) * 3, (0.0,) * 3, 1.0, 2.0, "", "never", "0", {}, torch.device("cpu")
    )
    task = task_of(write(tmp_path / "ct", slices()), tmp_path / "results")
    stages: list[str] = []
    with pytest.raises(InputRejected) as caught:
        pipeline.run(task, model, stages.append)
    assert (caught.value.code, stages) == ("not_chest", ["read"])
    assert not (tmp_path / "results").exists()
