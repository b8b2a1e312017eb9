"""The identity of a job: what decides its numbers beside the images, namely weights, engine and analysis version."""

import hashlib
import json
from pathlib import Path
from typing import Final

from db.tracking import JobIdentity
from worker.analysis import card, engine_choice
from worker.settings import WorkerSettings

SOFTWARE_VERSION: Final = "0.1.0"
# Increased whenever a change of the code gives other numbers, or other words for them, for the same images and weights.
ANALYSIS_VERSION: Final = 8


def of(model_digest: str, engine: str) -> JobIdentity:
    """Return the identity of a model, by the digest of its weights, that runs in an engine."""
    deciding = json.dumps({"analysis": ANALYSIS_VERSION, "engine": engine}, sort_keys=True)
    # The digest of the weights covers thresholds and voxel size as well: they stand in their file.
    return JobIdentity(model_digest, hashlib.sha256(deciding.encode()).hexdigest())


def current(settings: WorkerSettings) -> JobIdentity:
    """Return the identity that a worker with these settings will have, as far as it is known without loading the model.

    Raises
    ------
    WeightsMismatch
        The weights are missing, or are not those of the model card beside them.
    """
    return of(card.digest(settings.weights), engine_choice.choose(settings.engine, _on_cpu(settings.device)))


def _on_cpu(device: str) -> bool:
    """Whether a device is the CPU. For ``auto`` this is a guess, which the worker corrects when it claims the job."""
    return device == "cpu" if device != "auto" else not any(Path("/dev").glob("nvidia[0-9]*"))
