"""What commands print for machines."""

import json
from datetime import datetime
from typing import Annotated, Any

import typer

from db.address import hide_secrets

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def print_json(value: object) -> None:
    """Print a value as one line of JSON, times in ISO 8601 with their offset from UTC, and no secret of a URL."""
    print(json.dumps(_without_secrets(value), default=_text))


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_secrets(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_secrets(one) for one in value]
    return hide_secrets(value) if isinstance(value, str) else value
