"""The words for the patterns of disease wherever people read, by the names that rows have for them."""

from collections.abc import Mapping
from typing import Final

PATTERNS: Final[Mapping[str, str]] = {
    "ggo": "ground glass",
    "reticulation": "reticulation",
    "consolidation": "consolidation",
}
