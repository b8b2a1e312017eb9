"""Decides which series are analysed, by a table of rules read from top to bottom; functions of values."""

import tomllib
from collections.abc import Sequence
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
    """Bounds of a number; a number that the headers do not give lies in no range."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None

    def holds(self, value: float | None) -> bool:
        """Whether a number lies within the bounds."""
        return (
            value is not None
            and (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        return " and ".join(f"{name.replace('_', ' ')} {bound:g}" for name, bound in self if bound is not None)


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
        if self.slices is not None and not is_whole:
            return "slices are missing"
        for name, patterns, values in self._texts(facts):
            if patterns and not matches(patterns, values):
                return f"{name} is {' '.join(values) or 'not given'}"
        for name, bounds, value in (
            ("thickness_mm", self.thickness_mm, facts.thickness_mm),
            ("slices", self.slices, float(facts.slices)),
        ):
            if bounds is not None and not bounds.holds(value):
                return f"{name} is {'not given' if value is None else f'{value:g}'}, not {bounds}"
        return None

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
    """Whether a series is analysed, by which rule, and for each rule before it the condition that did not hold."""

    analyse: bool
    rule: str
    passed: tuple[tuple[str, str], ...]


def decide(routing: Routing, facts: SeriesFacts, is_whole: bool = True) -> Decision:
    """Return the decision of the first rule that holds; ``is_whole`` is False where slices are known to be missing."""
    passed: list[tuple[str, str]] = []
    for rule in routing.rule:
        missing = rule.missing(facts, is_whole)
        if missing is None:
            return Decision(rule.action == "analyse", rule.name, tuple(passed))
        passed.append((rule.name, missing))
    return Decision(routing.otherwise == "analyse", NO_RULE, tuple(passed))
