"""Rows of the audit views for other programs: CSV for spreadsheets, Parquet for research."""

import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from compose.errors import ExtraMissing
from db.address import hide_secrets
from db.audit import TIME_COLUMNS
from db.audit_columns import COLUMNS

Row = Mapping[str, Any]
# What a spreadsheet takes for a formula, and a stranger may have written in a header.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
WHOLE_NUMBERS = frozenset({"job_id", "instances", "superseded_by_job_id", "event_id", "sequence"})
NUMBERS = ("_pct", "_ml")


def print_csv(view: str, rows: Sequence[Row]) -> None:
    """Print rows as CSV (RFC 4180) under the names of all columns; NULL is empty, times are ISO 8601, JSON is text.

    Text that a spreadsheet would compute has an apostrophe before it.
    """
    writer = csv.writer(sys.stdout)
    writer.writerow(COLUMNS[view])
    for row in rows:
        writer.writerow([_harmless(_plain(row[name])) for name in COLUMNS[view]])


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        value = json.dumps(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return hide_secrets(value) if isinstance(value, str) else value


def write_parquet(path: Path, view: str, rows: Sequence[Row]) -> None:
    """Write rows to a Parquet file; the types of its columns are the same whatever the rows hold.

    Raises
    ------
    ExtraMissing
        pyarrow is not installed.
    """
    try:
        # Large, and wanted by few.
        import pyarrow  # noqa: PLC0415
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise ExtraMissing(
            "Parquet needs pyarrow, which is not installed: pip install 'scleroscan[parquet]'"
        ) from error
    schema = pyarrow.schema([(name, getattr(pyarrow, kind)(*of)) for name, kind, *of in _types(view)])
    table = [{name: _typed(name, row[name]) for name in COLUMNS[view]} for row in rows]
    parquet.write_table(pyarrow.Table.from_pylist(table, schema), path)


def _types(view: str) -> Iterator[tuple[str, ...]]:
    """Yield (name, type of pyarrow, arguments of it) of each column."""
    for name in COLUMNS[view]:
        if name in TIME_COLUMNS:
            yield name, "timestamp", "us", "UTC"
        elif name in WHOLE_NUMBERS:
            yield name, "int64"
        else:
            yield name, "float64" if name.endswith(NUMBERS) else "string"


def _typed(name: str, value: Any) -> Any:
    return value if name in TIME_COLUMNS else _plain(value)
