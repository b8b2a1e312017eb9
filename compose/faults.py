"""Turns pydantic's errors about settings into sentences that name the variable and show a right value."""

from collections.abc import Sequence
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings

from db import fault_words
from db.address import hide_secrets


def sentences(settings: type[BaseSettings], error: ValidationError) -> list[str]:
    """Return a sentence for each variable that cannot be so. None shows a secret."""
    return [_sentence(settings, fault) for fault in error.errors()]


def _sentence(settings: type[BaseSettings], fault: ErrorDetails) -> str:
    field = str(fault["loc"][0])
    known, name = settings.model_fields[field], variable(settings, field)
    said = fault_words.sentence(fault, _shown(known, fault["input"]))
    return f"{name}: {hide_secrets(said)}. {known.description}. A right value: {name}={_right_value(known)}"


def variable(settings: type[BaseSettings], field: str) -> str:
    """Return the environment variable of a field."""
    return f"{settings.model_config['env_prefix']}{field}".upper()


def _shown(field: FieldInfo, value: object) -> str:
    if SecretStr in _types(field.annotation):
        return "what it holds"
    return str(value) or "nothing"


def _types(annotation: Any) -> Sequence[Any]:
    return getattr(annotation, "__args__", (annotation,))


def _right_value(field: FieldInfo) -> str:
    value = (field.examples or [field.default])[0]
    return str(value).lower() if isinstance(value, bool) else str(value)
