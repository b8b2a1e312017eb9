"""Quality flags: what a reader of the numbers should know of how they came about."""

from dataclasses import dataclass


@dataclass(frozen=True)
class QualityFlag:
    """A remark on quality that travels with the numbers and stops nothing.

    ``code`` is stable snake_case; ``text`` is one sentence for people; ``value`` the number behind it.
    """

    code: str
    text: str
    value: float | None = None
