"""What is made for a destination: its SEGs, and the SR that refers to them. It loads nothing: many only name it."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class ReportClass(StrEnum):
    """The class of the report. All hold the same content; more archives take Enhanced SR."""

    COMPREHENSIVE_3D = "comprehensive3d"
    COMPREHENSIVE = "comprehensive"
    ENHANCED = "enhanced"


class SegForm(StrEnum):
    """How masks become objects: disease and lungs apart, or both in one, or apart as labels, a frame for each slice."""

    BINARY = "binary"
    ONE = "one"
    LABELMAP = "labelmap"


class Finding(StrEnum):
    """What can be a segment."""

    GROUND_GLASS = "ground glass"
    RETICULATION = "reticulation"
    CONSOLIDATION = "consolidation"
    LEFT_LUNG = "left lung"
    RIGHT_LUNG = "right lung"


EVERY: Final = tuple(Finding)
DISEASE, LUNGS = EVERY[:3], EVERY[3:]
# (kind of the output, findings, role) of the SEGs.
APART: Final = (("seg", DISEASE, "disease seg"), ("lungs", LUNGS, "lungs seg"))
TOGETHER: Final = (("seg", EVERY, "seg"),)


@dataclass(frozen=True)
class SegPart:
    """One SEG: the kind of its output, the findings in it, how it is written, and the role that decides its UIDs."""

    kind: str
    findings: tuple[Finding, ...]
    role: str
    labelmap: bool = False
    deflated: bool = False


@dataclass(frozen=True)
class Profile:
    """The objects that go together. What two profiles ask for alike is one object, made once.

    ``findings`` are those that have segments; ``deflated`` SEGs are in Deflated Explicit VR Little Endian.
    """

    form: SegForm = SegForm.BINARY
    report_class: ReportClass = ReportClass.COMPREHENSIVE_3D
    findings: frozenset[Finding] = frozenset(EVERY)
    deflated: bool = False

    @property
    def parts(self) -> tuple[SegPart, ...]:
        """The SEGs, disease first."""
        return tuple(self._parts())

    def _parts(self) -> Iterator[SegPart]:
        is_mixed = self.form is SegForm.ONE and not (
            self.findings.isdisjoint(DISEASE) or self.findings.isdisjoint(LUNGS)
        )
        for kind, every, name in TOGETHER if is_mixed else APART:
            findings = tuple(one for one in every if one in self.findings)
            if findings:
                yield SegPart(kind, findings, self._role(name, findings, every), self._labelmap, self.deflated)

    @property
    def _labelmap(self) -> bool:
        return self.form is SegForm.LABELMAP

    def _role(self, name: str, findings: tuple[Finding, ...], every: tuple[Finding, ...]) -> str:
        ways = [word for word, holds in (("labelmap", self._labelmap), ("deflated", self.deflated)) if holds]
        return ", ".join([name, *ways, *(findings if findings != every else ())])

    @property
    def report_role(self) -> str:
        """What decides the UIDs of the SR: no two reports that differ share one."""
        name = "sr" if self.report_class is ReportClass.COMPREHENSIVE_3D else f"{self.report_class} sr"
        if self.parts == Profile().parts:
            return name
        return f"{name} with {' and '.join(part.role for part in self.parts)}"

    @property
    def roles(self) -> dict[str, str]:
        """The role of the object of each kind."""
        return {part.kind: part.role for part in self.parts} | {"sr": self.report_role}


def class_of(report_role: str) -> ReportClass:
    """Return the class of the SR of a role."""
    name = report_role.partition(" with ")[0].removesuffix("sr").strip()
    return ReportClass(name) if name else ReportClass.COMPREHENSIVE_3D
