"""What commands print for machines."""

import json
from typing import Annotated, Any

import typer

from db.address import hide_secrets

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def print_json(value: object) -> None:
    """Print a value as one line of JSON; what JSON has no form for, such as a time, as text, and no secret of a URL."""
    print(json.dumps(_without_secrets(value), default=str))


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_secrets(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_secrets(one) for one in value]
    return hide_secrets(value) if isinstance(value, str) else value
