"""What would happen to the series of a folder, as lines for people."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rich.text import Text

from compose.screen import COLOURS, styled

if TYPE_CHECKING:
    from compose.routes import Route

INDENT = " " * 11


def route_lines(routes: Iterable["Route"], verbose: bool) -> Iterator[Text]:
    """Yield for each series the outcome, UID, why, and what the rules see; ``verbose``: the rules passed on the way."""
    for one in routes:
        yield styled(f"{one.outcome:<10} ", COLOURS.get(one.outcome, "white")).append_text(styled(one.series_uid, ""))
        below = [f"{one.files} files · {_seen(one)}", one.why, *(_lacking(*rule) for rule in one.not_given)]
        below += [f"  not {name}: {reason}" for name, reason in one.passed] if verbose else []
        yield from (styled(f"{INDENT}{line}", "") for line in below)


def _seen(one: "Route") -> str:
    seen = one.facts
    thickness = "" if seen.thickness_mm is None else f"{seen.thickness_mm:g} mm"
    words = (seen.modality, seen.body_part, " ".join(seen.kernel), " ".join(seen.image_type), thickness)
    return " · ".join(part for part in (*words, f"{seen.slices} slices") if part)


def _lacking(rule: str, values: str) -> str:
    """Say what a rule needs that is not given, and what to do about a sender."""
    asked = "; name the sender by --calling" if "calling_ae" in values.split(", ") else ""
    return f"{rule} fails only because {values} is not given{asked}"
