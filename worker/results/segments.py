"""What stands in which SEG, under which name, in which colour."""

from dataclasses import dataclass, replace
from typing import Final

from highdicom.sr.coding import CodedConcept

from worker.analysis.records import CONSOLIDATION, GROUND_GLASS, LEFT_LUNG, RETICULATION, RIGHT_LUNG
from worker.results import codes, palette
from worker.results.profile import SegPart


@dataclass(frozen=True)
class Segment:
    """One segment: what it is, its value among the labels, and its colour (sRGB 0..255).

    A segment with a laterality is of the lungs, any other of the patterns.
    """

    finding: str
    label: str
    category: CodedConcept
    kind: CodedConcept
    laterality: CodedConcept | None
    value: int
    colour: palette.Colour


@dataclass(frozen=True)
class Content:
    """One SEG, in a series of its own: some viewers show only the last object of a series.

    ``kind`` is that of its output and ``role`` decides its UIDs. ``description`` is how a reader finds it in the list
    of a viewer, where about the first twenty letters are seen. ``place`` is that among our
    series: viewers list the highest first. Segments are numbered from 1 in their order. ``labelmap`` and ``deflated``
    say how it is written.
    """

    kind: str
    role: str
    place: int
    description: str
    label: str
    segments: tuple[Segment, ...]
    labelmap: bool = False
    deflated: bool = False

    @property
    def mixed(self) -> bool:
        """Whether lungs stand beside patterns, which lie in them."""
        return len({one.laterality is None for one in self.segments}) > 1


PATTERNS: Final = (
    Segment(
        "ground glass",
        "Ground glass opacity",
        codes.ABNORMAL_STRUCTURE,
        codes.GROUND_GLASS_OPACITY,
        None,
        GROUND_GLASS,
        palette.GROUND_GLASS,
    ),
    Segment(
        "reticulation",
        "Reticulation",
        codes.ABNORMAL_STRUCTURE,
        codes.RETICULAR_PATTERN,
        None,
        RETICULATION,
        palette.RETICULATION,
    ),
    Segment(
        "consolidation",
        "Consolidation",
        codes.ABNORMAL_STRUCTURE,
        codes.CONSOLIDATION,
        None,
        CONSOLIDATION,
        palette.CONSOLIDATION,
    ),
)
LUNGS: Final = (
    Segment("left lung", "Left lung", codes.ANATOMICAL_STRUCTURE, codes.LUNG, codes.LEFT, LEFT_LUNG, palette.LEFT_LUNG),
    Segment(
        "right lung", "Right lung", codes.ANATOMICAL_STRUCTURE, codes.LUNG, codes.RIGHT, RIGHT_LUNG, palette.RIGHT_LUNG
    ),
)
# Viewers fill what they show: lungs in the same object would hide the disease in them.
DISEASE: Final = Content("seg", "disease seg", 6, "ILD disease (Scleroscan, research)", "ILD", PATTERNS)
OUTLINE: Final = Content("lungs", "lungs seg", 3, "ILD lungs (Scleroscan, research)", "LUNGS", LUNGS)
ALL: Final = Content("seg", "seg", 6, "ILD disease and lungs (Scleroscan, research)", "ILD", PATTERNS + LUNGS)


def of(part: SegPart) -> Content:
    """Return the content of a SEG that a profile asks for."""
    base = next(one for one in (DISEASE, OUTLINE, ALL) if {part.findings[0], part.findings[-1]} <= _findings(one))
    wanted = tuple(one for one in base.segments if one.finding in part.findings)
    return replace(base, role=part.role, segments=wanted, labelmap=part.labelmap, deflated=part.deflated)


def _findings(content: Content) -> set[str]:
    return {one.finding for one in content.segments}
