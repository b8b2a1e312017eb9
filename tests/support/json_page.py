"""Holds what a command prints for machines against the page that lists its keys."""

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.support import REPOSITORY

PAGE = REPOSITORY / "docs" / "reference" / "json.md"
# What stands in these varies with the event or the run.
OPEN = {"detail", "training"}
# Their keys are names of regions, sides, flags or stages: the page writes what lies below them as `.*`.
BY_NAME = {
    "extent_pct",
    "extents_pct",
    "extents",
    "changes",
    "regions",
    "dice",
    "flags",
    "lung_ml",
    "seconds",
    "paired",
}


def sections() -> set[str]:
    """Return the commands that have a section, some of them with an option."""
    return set(re.findall(r"^## (.+)$", PAGE.read_text(), re.MULTILINE))


def documented(command: str) -> set[str]:
    """Return the keys that the page lists for a command."""
    (section,) = re.findall(rf"^## {command}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return set(re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE))


def keys(value: Any, above: str = "") -> set[str]:
    """Return the paths of all keys: ``deliveries[].state`` is a key of each record of a list."""
    if isinstance(value, list):
        return {path for one in value if isinstance(one, dict) for path in keys(one, f"{above}[]")}
    return set(_below(value, above)) if isinstance(value, dict) else set()


def _below(record: dict[str, Any], above: str) -> Iterator[str]:
    for name, one in record.items():
        path = f"{above}.{name}".lstrip(".")
        yield path
        if name in BY_NAME and isinstance(one, dict):
            yield from (key for named in one.values() for key in keys(named, f"{path}.*"))
        elif name not in OPEN:
            yield from keys(one, path)


def require_documented(command: str, printed: Any) -> None:
    """Require that the page lists the keys of what a command printed, and no other."""
    found = {path.removeprefix("[].") for path in keys(json.loads(json.dumps(printed, default=str)))}
    listed = documented(command)
    assert found == listed, f"not on the page {sorted(found - listed)}, not printed {sorted(listed - found)}"
