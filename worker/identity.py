"""What, beside the images, decides a job's numbers: weights, how they are used, and the version of the analysis."""

import hashlib
import json
from typing import Final

from db.tracking import JobIdentity
from worker.analysis import card
from worker.settings import WorkerSettings

SOFTWARE_VERSION: Final = "0.1.0"
# Raised whenever the code would give other numbers for the same images and weights.
ANALYSIS_VERSION: Final = 2


def current(settings: WorkerSettings) -> JobIdentity:
    """Return the identity under which jobs are opened.

    Raises
    ------
    WeightsMismatch
        The weights are missing, or are not those of the model card beside them.
    """
    deciding = json.dumps({"analysis": ANALYSIS_VERSION, "engine": settings.engine}, sort_keys=True)
    return JobIdentity(
        # It covers thresholds and voxel size as well: they stand in the file of the weights.
        model_digest=card.digest(settings.weights),
        settings_digest=hashlib.sha256(deciding.encode()).hexdigest(),
    )
