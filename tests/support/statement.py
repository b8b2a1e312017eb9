"""The DICOM conformance statement as tests read it: the tables below its headings."""

import re

from tests.support import REPOSITORY

PAGE = REPOSITORY / "docs" / "reference" / "conformance-statement.md"
CODE = re.compile(r"`([^`]+)`")
Row = dict[str, str]


def tables(section: str) -> list[list[Row]]:
    """Return the tables of a section, as of ``3.4``: each a list of rows by the names of the columns."""
    text = PAGE.read_text(encoding="utf-8")
    (body,) = re.findall(rf"^##+ {re.escape(section)} .*?\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    return [_rows(block) for block in re.findall(r"(?:^\|.*\n)+", body, re.MULTILINE)]


def table(section: str) -> list[Row]:
    """Return the only table of a section."""
    (only,) = tables(section)
    return only


def codes(rows: list[Row], column: str) -> list[str]:
    """Return what stands in backticks in a column, row by row."""
    return [found for row in rows for found in CODE.findall(row[column])]


def _rows(block: str) -> list[Row]:
    head, _, *lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.strip().splitlines()]
    return [dict(zip(head, line, strict=True)) for line in lines]
