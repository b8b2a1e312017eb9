"""Decides which series are analysed, by a table of rules read from top to bottom; functions of values."""

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from dicom_node.series.facts import SeriesFacts
from dicom_node.series.reconstructions import Choice

DEFAULT_RULES = Path(__file__).with_name("default-rules.toml")
NO_RULE = "no rule holds"
Patterns = tuple[str, ...]


class Range(BaseModel):
    """Bounds of a number; one that the headers do not give lies in no range, unless ``or_absent`` says so."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    or_absent: bool = False

    def holds(self, value: float | None) -> bool:
        """Whether a number lies within the bounds."""
        if value is None:
            return self.or_absent
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        bounds = self.model_dump(exclude={"or_absent"}, exclude_none=True)
        return " and ".join(f"{name.replace('_', ' ')} {bound:g}" for name, bound in bounds.items())


@dataclass(frozen=True)
class Unmet:
    """A condition that does not hold, why, and whether that is only for want of a value."""

    condition: str
    why: str
    is_absent: bool = False


class Rule(BaseModel):
    """One rule of the table: it holds for a series where all of its conditions hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    action: Literal["analyse", "skip"]
    modality: Patterns = ()
    body_part: Patterns = ()
    words: Patterns = ()
    kernel: Patterns = ()
    image_type: Patterns = ()
    calling_ae: Patterns = ()
    thickness_mm: Range | None = None
    slices: Range | None = None

    def missing(self, facts: SeriesFacts, is_whole: bool = True) -> str | None:
        """Say which condition does not hold for a series; None where all hold.

        Where images are missing, a condition on the number of slices never holds: the number says nothing then.
        """
        return next((unmet.why for unmet in self._unmet(facts, is_whole)), None)

    def not_given(self, facts: SeriesFacts, is_whole: bool = True) -> str:
        """Name the conditions that do not hold for want of a value; nothing where any fails for another reason."""
        unmet = list(self._unmet(facts, is_whole))
        return ", ".join(one.condition for one in unmet) if all(one.is_absent for one in unmet) else ""

    def _unmet(self, facts: SeriesFacts, is_whole: bool) -> Iterator[Unmet]:
        if self.slices is not None and not is_whole:
            yield Unmet("slices", "slices are missing")
        for name, patterns, values in self._texts(facts):
            if patterns and not matches(patterns, values):
                is_absent = not any(values)
                yield Unmet(name, f"{name} is {'not given' if is_absent else ' '.join(values)}", is_absent)
        for name, bounds, value in (
            ("thickness_mm", self.thickness_mm, facts.thickness_mm),
            ("slices", self.slices, float(facts.slices)),
        ):
            if bounds is not None and not bounds.holds(value):
                given = "not given" if value is None else f"{value:g}"
                yield Unmet(name, f"{name} is {given}, not {bounds}", value is None)

    def _texts(self, facts: SeriesFacts) -> tuple[tuple[str, Patterns, Sequence[str]], ...]:
        return (
            ("modality", self.modality, (facts.modality,)),
            ("body_part", self.body_part, (facts.body_part,)),
            ("words", self.words, facts.words),
            ("kernel", self.kernel, facts.kernel),
            ("image_type", self.image_type, facts.image_type),
            ("calling_ae", self.calling_ae, (facts.calling_ae,)),
        )


def matches(patterns: Patterns, values: Sequence[str]) -> bool:
    """Whether one pattern matches one of the values, and none that begins with ``!`` does."""
    wanted = [pattern.upper() for pattern in patterns if not pattern.startswith("!")]
    banned = [pattern[1:].upper() for pattern in patterns if pattern.startswith("!")]
    texts = [value.upper() for value in values] or [""]

    def found(some: list[str]) -> bool:
        return any(fnmatchcase(text, pattern) for pattern in some for text in texts)

    return (found(wanted) or not wanted) and not found(banned)


def default_rules() -> tuple[Rule, ...]:
    """Return the rules that apply where the site file has none."""
    return tuple(Rule.model_validate(rule) for rule in tomllib.loads(DEFAULT_RULES.read_text())["rule"])


class Routing(BaseModel):
    """``[routing]`` of the site file. Rules written there replace the default ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: tuple[Rule, ...] = Field(default_factory=default_rules)
    otherwise: Literal["analyse", "skip"] = Field("analyse", description="What happens where no rule holds")
    choice: Choice = Choice()


# What a scheduler does without any rules: every series is analysed, also several reconstructions of one study.
EVERYTHING = Routing(rule=(), choice=Choice(measure="all"))


@dataclass(frozen=True)
class Decision:
    """Whether a series is analysed, by which rule, and for each rule before it the condition that did not hold.

    ``not_given`` names the rules that would have held but for values that the headers, or the question, do not give.
    """

    analyse: bool
    rule: str
    passed: tuple[tuple[str, str], ...]
    not_given: tuple[tuple[str, str], ...] = ()


def decide(routing: Routing, facts: SeriesFacts, is_whole: bool = True) -> Decision:
    """Return the decision of the first rule that holds; ``is_whole`` is False where slices are known to be missing."""
    passed: list[tuple[str, str]] = []
    absent: list[tuple[str, str]] = []
    for rule in routing.rule:
        missing = rule.missing(facts, is_whole)
        if missing is None:
            return Decision(rule.action == "analyse", rule.name, tuple(passed), tuple(absent))
        passed.append((rule.name, missing))
        if names := rule.not_given(facts, is_whole):
            absent.append((rule.name, names))
    return Decision(routing.otherwise == "analyse", NO_RULE, tuple(passed), tuple(absent))
