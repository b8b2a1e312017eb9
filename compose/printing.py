"""Rows as tables for people."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from rich.table import Column, Table
from rich.text import Text

from compose.check import Check
from compose.screen import styled, when


def record_table(record: dict[str, Any], title: str) -> Table:
    """One record, a line a field."""
    table = Table("column", whole("value"), title=title)
    for name, value in record.items():
        table.add_row(name, shown(value))
    return table


def whole(name: str) -> Column:
    """Return a column that wraps what is too long: a UID cut short is of no use."""
    return Column(name, overflow="fold")


def shown(value: object) -> str:
    """Return a value as people read it: local times to the second, numbers to a tenth."""
    if value is None:
        return "–"
    if isinstance(value, datetime):
        return when(value)
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def checks_table(checks: Iterable[Check]) -> Table:
    """One line a check: what was found and how to mend it; ``!`` is a note, and no fault."""
    table = Table("", "check", "found", "how to mend it", title="Doctor")
    for check in checks:
        table.add_row(
            styled("!", "yellow") if check.ok and check.mend else _mark(check.ok), check.name, check.found, check.mend
        )
    return table


def _mark(well: bool) -> Text:
    return styled("✓", "green") if well else styled("✗", "red")


def settings_table(names: dict[str, str], values: dict[str, str]) -> Table:
    """Every environment variable that is a setting, and its value."""
    table = Table("environment variable", whole("value"), "what it sets", title="Settings")
    for name, description in names.items():
        table.add_row(name, values.get(name, "–"), description)
    return table
