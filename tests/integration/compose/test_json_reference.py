"""The page on JSON names every key that commands print, and no other."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from compose import command_line
from tests.support import json_page, site_rows
from tests.support.command import run
from tests.support.ct import TinyCT
from tests.support.site_rows import WAITING


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    one = tmp_path_factory.mktemp("site")
    TinyCT().write(one / "ct")
    return one


@pytest.mark.parametrize("command", ["status", "audit show", "audit verify", "route", "doctor"])
def test_the_page_has_the_keys_that_are_printed(folder: Path, command: str) -> None:
    url = f"sqlite:///{folder / 'rows.db'}"
    if not (folder / "rows.db").exists():
        site_rows.site(folder)
    words = {"status": [WAITING], "audit show": [WAITING], "route": [str(folder / "ct")]}.get(command, [])
    if command == "audit verify":
        tamper(folder / "rows.db")
    printed = json.loads(
        run(*command.split(), *words, "--json", DB_URL=url, DICOM_NODE_SPOOL_DIR=str(folder / "spool")).stdout
    )
    json_page.require_documented(command, printed)


def tamper(file: Path) -> None:
    """Change a result, so that there is a fault to print."""
    connection = sqlite3.connect(file)
    with connection:
        connection.execute("UPDATE measurement SET value = value + 1")
    connection.close()


def with_json(group: Any, above: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from with_json(command, f"{name} ")
        elif any("--json" in option.opts for option in command.params):
            yield f"{above}{name}"


def test_every_command_with_json_has_its_section() -> None:
    commands = set(with_json(typer.main.get_command(command_line.app)))
    assert {section.split(" --")[0] for section in json_page.sections()} == commands
