"""Reads the files of one series to a CT volume with its headers, or refuses them with a code."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from worker.errors import InputRejected
from worker.reading import belonging, choice, headers, originals, slices
from worker.reading.choice import Kept
from worker.reading.geometry import gate, placement, stacks
from worker.reading.headers import SourceFile
from worker.reading.pixels import hounsfield, memory
from worker.reading.quality import QualityFlag
from worker.reading.slices import SourceSlice
from worker.reading.volume import CTVolume

# 4,000 slices with 500 KiB of header each: ten times what scanners write.
LARGEST_HEADERS_BYTES = 2**31


@dataclass(frozen=True)
class SetAside:
    """An object inside the series that is no slice: its SOP Instance UID and a stable reason.

    Reasons are ``localizer``, ``dose_sheet``, ``secondary_capture``, ``not_ct_image``, ``computed_image`` and
    ``other_stack``. A frame of a multi-frame object goes by the UID of its object.
    """

    sop_uid: str
    reason: str


@dataclass(frozen=True, eq=False)
class SourceSeries:
    """A series that was read rightly.

    Attributes
    ----------
    slices
        Headers without pixels, in the order of ``volume.hu``, from feet to head.
    set_aside
        The objects inside the series that are no slices, by SOP Instance UID.
    flags
        Quality flags of the source, one for each kind of set-aside objects among them.
    """

    volume: CTVolume
    slices: tuple[SourceSlice, ...]
    set_aside: tuple[SetAside, ...]
    flags: tuple[QualityFlag, ...]

    @property
    def headers(self) -> tuple[Dataset, ...]:
        """The data set of every slice without pixels; of a frame, what a classic image would say."""
        return tuple(one.header for one in self.slices)

    @property
    def series_uid(self) -> str:
        """SeriesInstanceUID."""
        return headers.text(self.headers[0], "SeriesInstanceUID")

    @property
    def study_uid(self) -> str:
        """StudyInstanceUID."""
        return headers.text(self.headers[0], "StudyInstanceUID")

    @property
    def convolution_kernel(self) -> str:
        """ConvolutionKernel of the lowest slice, several values joined by a backslash; empty where absent."""
        return headers.text(self.headers[0], "ConvolutionKernel")


def read(paths: Sequence[Path]) -> SourceSeries:
    """Read a series.

    Parameters
    ----------
    paths
        Part 10 files of one series, in any order.

    Raises
    ------
    InputRejected
        With a code of ``docs/reference/refusal-codes.md``: the first that applies, in the order of that table.
    OSError
        The disk failed; the series may be sound.
    """
    with headers.quiet():
        return _read(paths)


def _read(paths: Sequence[Path]) -> SourceSeries:
    with memory.bounded(LARGEST_HEADERS_BYTES):
        files = [headers.read(path) for path in paths]
    belonging.require_one(files)
    found, aside = _sorted_out(files)
    _require_slices(found, aside)
    placements = [placement.read(one.header) for one in found]
    kept = choice.choose(found, placements, stacks.find(placements))
    ordered = tuple(found[i] for i in kept.order)
    headers.decode(ordered[0].header)
    left_out = [SetAside(found[i].sop_uid, "other_stack") for part in kept.others for i in part.members]
    frames = gate.frames_of_reference([placements[i] for i in kept.order])
    flags = (*_of_set_aside(aside), *_of_others(kept), *_of_slices([one.header for one in ordered], frames))
    return SourceSeries(_volume(ordered, kept.stack), ordered, (*aside, *left_out), flags)


def _sorted_out(files: Sequence[SourceFile]) -> tuple[list[SourceSlice], list[SetAside]]:
    """Separate the scanner's own slices from all else; refuse a series of nothing but computed images."""
    found: list[SourceSlice] = []
    computed: list[SourceSlice] = []
    aside: list[SetAside] = []
    for file in files:
        reason = originals.set_aside(file.header)
        for one in slices.split(file) if reason is None else ():
            framed = originals.set_aside(one.header)
            if framed is None:
                (computed if originals.is_computed(one.header) else found).append(one)
            else:
                aside.append(SetAside(one.sop_uid, framed))
        if reason is not None:
            aside.append(SetAside(headers.text(file.header, "SOPInstanceUID"), reason))
    if computed and not found:
        raise originals.only_computed(computed[0].header)
    return found, [*aside, *(SetAside(one.sop_uid, "computed_image") for one in computed)]


def _volume(ordered: Sequence[SourceSlice], stack: gate.Stack) -> CTVolume:
    first = ordered[0].header
    return CTVolume(
        hu=hounsfield.read(ordered),
        affine=stack.affine,
        sop_uids=tuple(one.sop_uid for one in ordered),
        frame_of_reference_uid=headers.text(first, "FrameOfReferenceUID"),
        slice_thickness_mm=headers.number(first, "SliceThickness") or None,
    )


def _require_slices(found: Sequence[SourceSlice], aside: Sequence[SetAside]) -> None:
    if not found:
        raise InputRejected(
            "The series holds no CT slices; send the axial CT images.",
            code="not_ct",
            detail={"set_aside": dict(Counter(one.reason for one in aside))},
        )


def _of_set_aside(aside: Sequence[SetAside]) -> Iterator[QualityFlag]:
    for reason, count in sorted(Counter(one.reason for one in aside).items()):
        text = f"objects inside the series that are no slices were left out: {reason.replace('_', ' ')}"
        yield QualityFlag(f"{reason}_set_aside", text, count)


def _of_others(kept: Kept) -> Iterator[QualityFlag]:
    if kept.others:
        named = "; ".join(f"{len(part.members)} images of {part.declares}" for part in kept.others)
        text = f"the series holds more than the one stack of slices that was measured; left out: {named}"
        yield QualityFlag("other_stack_set_aside", text, sum(len(part.members) for part in kept.others))


def _of_slices(kept: Sequence[Dataset], frames: int) -> Iterator[QualityFlag]:
    if frames > 1:
        text = "every slice names a frame of reference of its own, as some de-identifiers do; positions were used"
        yield QualityFlag("frame_of_reference_per_slice", text, frames)
    if lossy := sum(headers.text(h, "LossyImageCompression") == "01" for h in kept):
        yield QualityFlag("lossy_compression", "the images were compressed with loss: densities are altered", lossy)
    if derived := sum("DERIVED" in headers.image_type(h)[:1] for h in kept):
        text = "the images say that their pixels are derived, without being a reformat: densities may be altered"
        yield QualityFlag("derived_pixels", text, derived)
