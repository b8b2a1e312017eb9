"""The roles of accounts."""

from enum import StrEnum


class Role(StrEnum):
    """What an account may do: a viewer looks, an operator also acts on jobs."""

    VIEWER = "viewer"
    OPERATOR = "operator"
