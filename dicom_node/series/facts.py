"""What the routing rules see of a series: read from the headers of some of its images."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread

from dicom_node.errors import UNPARSEABLE

# Read beside the pixels' tags; parsing stops before the pixels.
TAGS = (
    "SpecificCharacterSet",
    "Modality",
    "BodyPartExamined",
    "ProtocolName",
    "SeriesDescription",
    "StudyDescription",
    "SliceThickness",
    "ConvolutionKernel",
    "ImageType",
    "NumberOfFrames",
)
# Headers of one series hardly differ, and what matters is what most of them say.
SAMPLE = 15


@dataclass(frozen=True)
class SeriesFacts:
    """One series in the words of its headers, upper case; empty or None where they do not say.

    Attributes
    ----------
    words
        The words of protocol name, series and study description.
    image_type
        The words of ImageType, as most images have them.
    slices
        Images in the largest stack of parallel slices, or images in all where none says where it lies; frames of
        multi-frame images count as slices.
    """

    modality: str = ""
    body_part: str = ""
    words: tuple[str, ...] = ()
    thickness_mm: float | None = None
    kernel: tuple[str, ...] = ()
    image_type: tuple[str, ...] = ()
    calling_ae: str = ""
    slices: int = 0

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "SeriesFacts":
        """Rebuild what JSON made lists of."""
        kept: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in fields.items()}
        return cls(**kept)


def read(paths: Sequence[Path], calling_ae: str, slices: int) -> SeriesFacts:
    """Read the facts of a series from a sample of its files; what cannot be read says nothing."""
    headers = [header for path in _sample(paths) if (header := _header(path)) is not None]
    return from_headers(headers, calling_ae, slices)


def from_headers(headers: Sequence[Dataset], calling_ae: str, slices: int) -> SeriesFacts:
    """Return what most of some headers say."""
    described = ("ProtocolName", "SeriesDescription", "StudyDescription")
    return SeriesFacts(
        modality=_usual([_text(header, "Modality") for header in headers]),
        body_part=_usual([_text(header, "BodyPartExamined") for header in headers]),
        words=split(" ".join(_usual([_text(header, keyword) for header in headers]) for keyword in described)),
        thickness_mm=_number(_usual([_text(header, "SliceThickness") for header in headers])),
        kernel=tuple(_usual([_text(header, "ConvolutionKernel") for header in headers]).split("\\")),
        image_type=split(_usual([_text(header, "ImageType") for header in headers])),
        calling_ae=calling_ae.strip(),
        slices=max(slices, sum(int(_number(_text(header, "NumberOfFrames")) or 1) for header in headers)),
    )


def split(text: str) -> tuple[str, ...]:
    """Return the words of a text in upper case, each once and in order."""
    return tuple(dict.fromkeys(word for word in re.split(r"[^\w]+|_", text.upper()) if word))


def _sample(paths: Sequence[Path]) -> list[Path]:
    ordered = sorted(paths)
    step = max(1, len(ordered) // SAMPLE)
    return ordered[::step][:SAMPLE]


def _header(path: Path) -> Dataset | None:
    try:
        return dcmread(path, stop_before_pixels=True, specific_tags=list(TAGS))
    except UNPARSEABLE:
        return None


def _usual(values: list[str]) -> str:
    return Counter(values).most_common(1)[0][0] if values else ""


def _text(header: Dataset, keyword: str) -> str:
    try:
        value = header.get(keyword)
        parts = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)
        return "\\".join(str(part) for part in parts if part is not None).strip().upper()
    except UNPARSEABLE:
        return ""


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
