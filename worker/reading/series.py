"""Files of one series → a CT volume with its headers, or a refusal with a code."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from worker.errors import InputRejected
from worker.reading import geometry, headers, originals, pixels, placement
from worker.reading.headers import SourceFile
from worker.reading.volume import CTVolume


@dataclass(frozen=True)
class SetAside:
    """An object inside the series that is no slice: its SOP Instance UID and a stable reason.

    Reasons are ``localizer``, ``dose_sheet``, ``secondary_capture`` and ``not_ct_image``.
    """

    sop_uid: str
    reason: str


@dataclass(frozen=True)
class Oddity:
    """Something unusual that stops nothing: stable code, one sentence, and how many images it concerns."""

    code: str
    text: str
    images: int


@dataclass(frozen=True, eq=False)
class SourceSeries:
    """A series that was read rightly.

    Attributes
    ----------
    headers
        The data sets without pixels, in the order of ``volume.hu``, from feet to head.
    set_aside
        What lay inside the series and is no slice, by SOP Instance UID.
    oddities
        What a reader of the result should know of the source, set-aside objects by kind among it.
    """

    volume: CTVolume
    headers: tuple[Dataset, ...]
    set_aside: tuple[SetAside, ...]
    oddities: tuple[Oddity, ...]

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
        The disk failed, not the series.
    """
    with headers.quiet():
        return _read(paths)


def _read(paths: Sequence[Path]) -> SourceSeries:
    files = [headers.read(path) for path in paths]
    _require_one_series(files)
    slices, aside = _sorted_out(files)
    _require_slices(slices, aside)
    for file in slices:
        originals.require_original(file.header)
    placements = [placement.of(file.header) for file in slices]
    stack = geometry.stack(placements)
    ordered = [slices[i] for i in stack.order]
    kept = tuple(file.header for file in ordered)
    frames = geometry.frames_of_reference(placements)
    oddities = (*_of_set_aside(aside), *_of_slices(kept, frames))
    return SourceSeries(_volume(ordered, stack), kept, aside, oddities)


def _sorted_out(files: Sequence[SourceFile]) -> tuple[list[SourceFile], tuple[SetAside, ...]]:
    slices, aside = [], []
    for file in files:
        reason = originals.set_aside(file.header)
        if reason is None:
            slices.append(file)
        else:
            aside.append(SetAside(headers.text(file.header, "SOPInstanceUID"), reason))
    return slices, tuple(aside)


def _volume(ordered: Sequence[SourceFile], stack: geometry.Stack) -> CTVolume:
    first = ordered[0].header
    return CTVolume(
        hu=pixels.read(ordered),
        affine=stack.affine,
        sop_uids=tuple(headers.text(file.header, "SOPInstanceUID") for file in ordered),
        frame_of_reference_uid=headers.text(first, "FrameOfReferenceUID"),
        slice_thickness_mm=headers.number(first, "SliceThickness") or None,
    )


def _require_one_series(files: Sequence[SourceFile]) -> None:
    uids = {headers.text(file.header, "SeriesInstanceUID") for file in files}
    if len(uids) > 1:
        raise InputRejected(
            f"The files belong to {len(uids)} series; measure one at a time.",
            code="mixed_series",
            detail={"series": len(uids)},
        )


def _require_slices(slices: Sequence[SourceFile], aside: Sequence[SetAside]) -> None:
    if not slices:
        raise InputRejected(
            "The series holds no CT slices; send the axial CT images.",
            code="not_ct",
            detail={"set_aside": dict(Counter(one.reason for one in aside))},
        )


def _of_set_aside(aside: Sequence[SetAside]) -> Iterator[Oddity]:
    for reason, count in sorted(Counter(one.reason for one in aside).items()):
        text = f"objects inside the series that are no slices were left out: {reason.replace('_', ' ')}"
        yield Oddity(f"{reason}_set_aside", text, count)


def _of_slices(slices: Sequence[Dataset], frames: int) -> Iterator[Oddity]:
    if frames > 1:
        text = "every slice names a frame of reference of its own, as some de-identifiers do; positions were used"
        yield Oddity("frame_of_reference_per_slice", text, frames)
    if lossy := sum(headers.text(h, "LossyImageCompression") == "01" for h in slices):
        yield Oddity("lossy_compression", "the images were compressed with loss: densities are altered", lossy)
    if derived := sum("DERIVED" in headers.image_type(h)[:1] for h in slices):
        text = "the images say that their pixels are derived, without being a reformat: densities may be altered"
        yield Oddity("derived_pixels", text, derived)
