"""The page on JSON names every key that commands print, and no other."""

import json
from pathlib import Path

import pytest

from tests.support import json_page, site_rows
from tests.support.command import run
from tests.support.ct import TinyCT
from tests.support.site_rows import WAITING


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
    json_page.require_documented(command, printed)
