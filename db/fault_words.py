"""pydantic's errors in our words, for settings and the site file."""

from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

WORDS = {
    "int_parsing": "{value} is no whole number",
    "int_type": "{value} is no whole number",
    "int_from_float": "{value} is no whole number",
    "float_parsing": "{value} is no number",
    "float_type": "{value} is no number",
    "bool_parsing": "{value} is neither true nor false",
    "bool_type": "{value} is neither true nor false",
    "string_type": "{value} is no text",
    "tuple_type": "{value} is no list",
    "model_type": "{value} is no table",
    "missing": "it is not given",
    "extra_forbidden": "there is nothing of this name",
    "enum": "{value} is none of {expected}",
    "literal_error": "{value} is none of {expected}",
    "greater_than": "{value} is not more than {gt}",
    "greater_than_equal": "{value} is less than {ge}",
    "less_than_equal": "{value} is more than {le}",
    "string_too_short": "{value} has fewer than {min_length} characters",
    "string_too_long": "{value} has more than {max_length} characters",
    "string_pattern_mismatch": "{value} is not of the form wanted",
    "value_error": "{error}",
}


def sentence(fault: ErrorDetails, value: Any) -> str:
    """Return what is wrong; ``value`` is shown in the place of what was given."""
    words = WORDS.get(fault["type"], "{value} is not of the form wanted")
    return words.format(value=value, **fault.get("ctx", {}))


def of_file(error: ValidationError) -> str:
    """Return what is wrong in a file, each fault after the name of its line."""
    faults = error.errors()
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {sentence(one, one['input'])}" for one in faults)
