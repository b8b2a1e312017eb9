"""What is printed for people: a stranger's words are shown, never obeyed."""

import ast
from io import StringIO

import pytest
from rich.table import Table

from compose import printing
from compose.screen import Screen, styled
from tests.support import REPOSITORY

EVIL = "[/] [bold]B[/bold] \x1b[31mR\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\ \u202egnp \x07:smile:"


def printed(*parts: object, **options: object) -> str:
    page = StringIO()
    Screen(file=page, width=400, force_terminal=True, color_system=None).print(*parts, **options)
    return page.getvalue()


def table(words: str) -> Table:
    one = Table(words, title=words, caption=words)
    one.add_row(words)
    return one


@pytest.mark.parametrize(
    "said",
    [
        printed(EVIL),
        printed(EVIL, style="red"),
        printed(table(EVIL)),
        printed(styled(EVIL, "red")),
        printed(printing.record_table({EVIL: EVIL}, EVIL)),
    ],
)
def test_markup_and_control_characters_are_shown_as_signs(said: str) -> None:
    assert all(line.isprintable() for line in said.split("\n"))
    assert r"[/] [bold]B[/bold] \x1b[31mR\x1b]8;;https://evil.example" in said
    assert r"\u202egnp \x07:smile:" in said


def test_lines_stay_lines_within_a_cell() -> None:
    assert printed(table("one\ntwo")).count("two") == 4


def test_nothing_prints_beside_the_screen() -> None:
    """Consoles are made, and bare ``print`` is called, only where text is made safe first."""
    allowed = {"screen.py", "json_output.py"}
    found = [
        f"{path.name}:{node.lineno}"
        for path in [REPOSITORY / "scleroscan.py", *(REPOSITORY / "compose").glob("*.py")]
        if path.name not in allowed
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"print", "Console"}
    ]
    assert found == []
