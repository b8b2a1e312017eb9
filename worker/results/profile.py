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
    """How masks become objects: disease and lungs apart, or both in one."""

    BINARY = "binary"
    ONE = "one"


DISEASE: Final = ("ground glass", "reticulation", "consolidation")
LUNGS: Final = ("left lung", "right lung")


@dataclass(frozen=True)
class SegPart:
    """One SEG: the kind of its output, the findings in it, and the role that decides its UIDs."""

    kind: str
    findings: tuple[str, ...]
    role: str


@dataclass(frozen=True)
class Profile:
    """The objects that go together. What two profiles ask for alike is one object, made once."""

    form: SegForm = SegForm.BINARY
    report_class: ReportClass = ReportClass.COMPREHENSIVE_3D

    @property
    def parts(self) -> tuple[SegPart, ...]:
        """The SEGs, disease first."""
        return tuple(self._parts())

    def _parts(self) -> Iterator[SegPart]:
        if self.form is SegForm.ONE:
            yield SegPart("seg", DISEASE + LUNGS, "seg")
        else:
            yield SegPart("seg", DISEASE, "disease seg")
            yield SegPart("lungs", LUNGS, "lungs seg")

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
