"""The model card: what a weights file is, what it was trained on, and how good it was. Needs no torch."""

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from worker import packaged_model
from worker.errors import WeightsMismatch

# The key in the metadata of the weights file that says how to use the weights. It is in that file so that the digest
# covers all that decides a result.
WORKING_POINT = "working_point"
WORKING_POINT_NAMES = (
    "lesion",
    "reticulation",
    "consolidation",
    "lesion_spread",
    "reticulation_spread",
    "consolidation_spread",
    "step_mm",
    "reach_mm",
    "lesion_margin",
    "reticulation_margin",
    "consolidation_margin",
)
# Weights of before bounds had a calibrated margin: an error of the lung mask moves an extent by about so much.
UNSAID = {"lesion_margin": 0.002, "reticulation_margin": 0.002, "consolidation_margin": 0.002}
# Stands in every result, whatever the card says about its training.
RESEARCH_USE = "research use only; not clinically validated."


def read(weights: Path) -> dict[str, Any]:
    """Return the card that lies beside the weights, after checking that it is theirs.

    Raises
    ------
    WeightsMismatch
        Weights or card are missing or unreadable, or the digest of the weights is not the card's; or the packaged
        weights are not those of this version.
    """
    path = weights.with_suffix(".json")
    try:
        found = file_digest(weights)
        card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsMismatch(f"{weights.name} or its model card {path.name} cannot be read: {error}") from error
    if card.get("digest") != found:
        raise WeightsMismatch(
            f"{weights.name} is not the file its model card describes: the digests differ",
            detail={"card": card.get("digest"), "file": found},
        )
    if weights.resolve() == packaged_model.WEIGHTS.resolve() and found != packaged_model.DIGEST:
        raise WeightsMismatch(
            f"{weights.name} is not the packaged model of this version: install the package again",
            detail={"pinned": packaged_model.DIGEST, "file": found},
        )
    return card


def title(card: dict[str, Any]) -> str:
    """Return the name of a model for people: name, version and, in brackets, the origin of its lesions."""
    origin = f" ({card['origin']})" if card.get("origin") else ""
    return f"{card['name']} {card['version']}{origin}"


def statement(card: dict[str, Any]) -> str:
    """Return the sentence on every result of a model: what it was trained on, and that it is for research use only."""
    data = card.get("training_data")
    return f"{f'Trained on {data}' if data else 'Training data not stated'}; {RESEARCH_USE}"


def digest(weights: Path) -> str:
    """Return the SHA-256 of the weights, checked against their card. Raises WeightsMismatch as :func:`read` does."""
    return str(read(weights)["digest"])


def working_point(weights: Path) -> dict[str, float]:
    """Return thresholds, spreads and margins by name, ``step_mm`` and ``reach_mm``, from the file of the weights.

    Raises
    ------
    WeightsMismatch
        The file does not say.
    """
    try:
        with safe_open(weights, "numpy") as file:
            stored = UNSAID | json.loads((file.metadata() or {})[WORKING_POINT])
        return {name: float(stored[name]) for name in WORKING_POINT_NAMES}
    except (OSError, SafetensorError, LookupError, TypeError, ValueError) as error:
        raise WeightsMismatch(f"{weights.name} does not say how to use it: {error}") from error


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
