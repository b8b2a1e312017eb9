"""The model card: what a weights file is, what it was trained on, and how good it was. Needs no torch."""

import hashlib
import json
from pathlib import Path
from typing import Any

from worker.errors import WeightsMismatch

RESEARCH_SENTENCE = "Trained on computed lesions; research use only; not clinically validated."


def read(weights: Path) -> dict[str, Any]:
    """Return the card that lies beside the weights, after checking that it is theirs.

    Raises
    ------
    WeightsMismatch
        Weights or card are missing or unreadable, or the digest of the weights is not the card's.
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
    return card


def digest(weights: Path) -> str:
    """Return the SHA-256 of the weights, checked against their card. Raises WeightsMismatch as :func:`read` does."""
    return str(read(weights)["digest"])


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
