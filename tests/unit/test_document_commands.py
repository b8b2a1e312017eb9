"""Every command and setting that a document writes is one that there is; the cheap commands run."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from compose import settings
from tests.support import REPOSITORY, databases, words
from tests.support.command import run
from tests.unit.test_documents import documents

BLOCK = re.compile(r"^[ >]*```(?:sh|console)\n(.*?)^[ >]*```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`scleroscan ([a-z][^`]*)`")
SETTING = re.compile(r"\b(?:DB|DICOM_NODE|WORKER|MONITOR|STATUS_PAGE|SCLEROSCAN)_[A-Z]+(?:_[A-Z0-9]+)*\b(?!…|_)")
ENDS_OF_COMMANDS = re.compile(r"&&|\|\||[|;>]| & ")
ASSIGNMENT = re.compile(r"[A-Z_]+=.*")
# They start nothing and end at once, on a site without images.
CHEAP = {("db", "upgrade"), ("doctor",), ("status",), ("audit",), ("audit", "verify"), ("user", "add"), ("recover",)}


def commands_in(text: str) -> Iterator[list[str]]:
    """Yield the words after ``scleroscan`` of each command of the blocks of a document."""
    for block in BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            for part in ENDS_OF_COMMANDS.split(re.sub(r"(^|\s)#.*", "", line.lstrip(" >").removeprefix("$ "))):
                yield from _ours(shlex.split(part))


def _ours(typed: list[str]) -> Iterator[list[str]]:
    while typed and ASSIGNMENT.fullmatch(typed[0]):
        typed = typed[1:]
    if typed[:1] == ["scleroscan"]:
        yield typed[1:]
    elif typed[:2] == ["docker", "compose"] and "run" in typed:
        # docker compose run --rm SERVICE WORDS: the image's entry point is the command.
        yield typed[typed.index("run") + 3 :]
    elif "scleroscan" in typed and ({"exec", "--"} & set(typed[: typed.index("scleroscan")])):
        yield typed[typed.index("scleroscan") + 1 :]


def written() -> list[tuple[str, list[str]]]:
    """Every command of a block, with its document."""
    return [(path.name, one) for path in documents() for one in commands_in(path.read_text(encoding="utf-8"))]


def test_every_command_of_a_block_is_understood() -> None:
    faults = [(page, shlex.join(one), words.fault_of(one)) for page, one in written()]
    assert len(faults) > 20
    assert [fault for fault in faults if fault[2] is not None] == []


def test_every_command_in_a_sentence_is_there_with_its_options() -> None:
    mentioned = {one for path in documents() for one in INLINE.findall(path.read_text(encoding="utf-8"))}
    assert len(mentioned) > 40
    assert [(one, fault) for one in sorted(mentioned) if (fault := words.unknown_in(one.split()))] == []


@pytest.mark.parametrize("fault", ["statsu", "status --dead-letter", "audit verfy --anchors FILE", "train --minute 3"])
def test_a_slip_in_a_sentence_is_found(fault: str) -> None:
    assert words.unknown_in(fault.split())


def test_every_setting_that_a_document_names_is_there() -> None:
    known = set(settings.setting_names())
    named = {
        (path.name, name)
        for path in documents()
        if "decisions" not in path.parts
        for name in SETTING.findall(path.read_text(encoding="utf-8"))
    }
    assert len(named) > 100
    # Shown as the slip of the pen that it is.
    misspelt = {("when-a-job-stops.md", "WORKER_DESTINATION")}
    assert {(page, name) for page, name in named if name not in known} == misspelt


def test_cheap_commands_of_documents_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    site = {"DB_URL": databases.sqlite(tmp_path / "rows.db"), "STATUS_PAGE_ACCOUNTS": str(tmp_path / "accounts.json")}
    cheap = {tuple(one) for _, one in written() if tuple(one[:2]) in CHEAP or tuple(one[:1]) in CHEAP}
    assert len(cheap) > 5
    for one in sorted(cheap):
        said = run(*one, **site)
        # The doctor finds a site none of whose parts run; events of a code that never was are none.
        says_no = one[0] == "doctor" or (one[:2] == ("audit", "--events") and "--code" in one)
        assert said.returncode == int(says_no), (one, said)


def test_the_readme_names_every_command() -> None:
    (table,) = re.findall(r"```text\n(scleroscan demo.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    assert [name for name in words.names() if f"scleroscan {name}" not in table and f" {name}" not in table] == []
    assert [one for one in re.findall(r"scleroscan ([a-z-]+)", table) if one not in words.names()] == []
