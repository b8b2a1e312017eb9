"""The page on JSON names every key that commands print, and no other."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support import REPOSITORY, site_rows
from tests.support.command import run
from tests.support.ct import TinyCT
from tests.support.site_rows import WAITING

# What stands in these varies with the event or the reason.
OPEN = {"detail", "extents_pct"}


def documented(command: str) -> set[str]:
    page = (REPOSITORY / "docs" / "reference" / "json.md").read_text()
    (section,) = re.findall(rf"^## {command}\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)
    return set(re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE))


def keys(value: Any, above: str = "") -> set[str]:
    """Return the paths of all keys: ``deliveries[].state`` is a key of each record of a list."""
    if isinstance(value, list):
        return set().union(*(keys(one, f"{above}[]") for one in value if isinstance(one, dict))) if value else set()
    if not isinstance(value, dict):
        return set()
    found: set[str] = set()
    for name, one in value.items():
        path = f"{above}.{name}".lstrip(".")
        found |= {path} | (set() if name in OPEN else keys(one, path))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    one = tmp_path_factory.mktemp("site")
    TinyCT().write(one / "ct")
    return one


@pytest.mark.parametrize("command", ["status", "audit", "route", "doctor"])
def test_the_page_has_the_keys_that_are_printed(folder: Path, command: str) -> None:
    url = f"sqlite:///{folder / 'rows.db'}"
    if not (folder / "rows.db").exists():
        site_rows.site(folder)
    words = {"status": [WAITING], "audit": [WAITING], "route": [str(folder / "ct")], "doctor": []}[command]
    printed = json.loads(run(command, *words, "--json", DB_URL=url, DICOM_NODE_SPOOL_DIR=str(folder / "spool")).stdout)
    assert {path.removeprefix("[].") for path in keys(printed)} == documented(command)
