"""The facts that routing rules see of a series: what most of its headers say; functions of values."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Described:
    """What the header of one image says; empty or None where it says nothing.

    ``protocol``, ``series`` and ``study`` are the names and descriptions that people gave; ``frames`` is 1 unless it
    is a multi-frame image.
    """

    modality: str = ""
    body_part: str = ""
    protocol: str = ""
    series: str = ""
    study: str = ""
    thickness_mm: float | None = None
    kernel: tuple[str, ...] = ()
    image_type: str = ""
    frames: int = 1


@dataclass(frozen=True)
class SeriesFacts:
    """What most headers of a series say, in upper case; empty or None where they say nothing.

    Attributes
    ----------
    words
        The words of protocol name, series and study description.
    image_type
        The words of ImageType, as most images have them.
    slices
        Images in the largest stack of parallel slices, or all images where no header has an image plane; frames of
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
        """Rebuild the facts from JSON, which has lists in place of tuples."""
        kept: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in fields.items()}
        return cls(**kept)


def of(images: Sequence[Described], calling_ae: str, slices: int) -> SeriesFacts:
    """Return the facts of a series: for each attribute the value that most of the images have."""
    described = (
        _usual([one.protocol for one in images], ""),
        _usual([one.series for one in images], ""),
        _usual([one.study for one in images], ""),
    )
    return SeriesFacts(
        modality=_usual([one.modality for one in images], "").upper(),
        body_part=_usual([one.body_part for one in images], "").upper(),
        words=split(" ".join(described)),
        thickness_mm=_usual([one.thickness_mm for one in images], None),
        kernel=tuple(value.upper() for value in _usual([one.kernel for one in images], ())),
        image_type=split(_usual([one.image_type for one in images], "")),
        calling_ae=calling_ae.strip(),
        slices=max(slices, sum(one.frames for one in images)),
    )


def split(text: str) -> tuple[str, ...]:
    """Return the words of a text in upper case, each once and in order."""
    return tuple(dict.fromkeys(word for word in re.split(r"[^\w]+|_", text.upper()) if word))


def _usual(values: Sequence[T], otherwise: T) -> T:
    return Counter(values).most_common(1)[0][0] if values else otherwise
