"""The screen: the one place that prints for people. What a stranger wrote is shown sign by sign and never obeyed."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from compose.log_lines import escaped
from db.states import JobState, SeriesState

COLOURS = {
    JobState.DELIVERED: "green",
    JobState.ENCODED: "cyan",
    JobState.RUNNING: "yellow",
    JobState.QUEUED: "yellow",
    SeriesState.RECEIVING: "blue",
    JobState.REJECTED: "red",
    JobState.FAILED: "bold red",
    SeriesState.INCOMPLETE: "red",
    SeriesState.SKIPPED: "dim",
    "measured": "green",
    "refused": "red",
    JobState.REVIEW: "magenta",
    JobState.DISCARDED: "dim",
}


class Screen(Console):
    """A console that takes no text for markup, and shows a control character as its escape.

    Colours come from :func:`styled` alone, so no kernel named ``[/]`` ends one and no PatientID opens a link.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return the text as it is laid out; tables, titles and lines all come through here."""
        return super().render_str(shown(text), **options)


def shown(text: str) -> str:
    """Return text of one or more lines with everything that is no printable sign as its escape."""
    return "\n".join(escaped(line) for line in text.split("\n"))


def styled(text: str, style: str) -> Text:
    """Return text in a style."""
    return Text(shown(text), style)


def when(time: datetime) -> str:
    """Return a time as people read it: local, to the second, with its offset from UTC (ISO 8601)."""
    return time.astimezone().isoformat(timespec="seconds")


def print_lines(lines: Iterable[Text | str]) -> None:
    """Print lines as they are, however long: a path or UID broken in two is of no use."""
    for line in lines:
        OUT.print(line, soft_wrap=True, highlight=False)


def say(line: str) -> None:
    """Print one line, however long it is, so that a program can read it too."""
    OUT.print(" ".join(line.split()), soft_wrap=True, highlight=False)


OUT, ERR = Screen(), Screen(stderr=True)
