"""What commands print for machines."""

import json
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def print_json(value: object) -> None:
    """Print a value as one line of JSON; what JSON has no form for, such as a time, as text."""
    print(json.dumps(value, default=str))
