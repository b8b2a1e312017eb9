"""Returns the slices of one object: the image itself, or each frame of a multi-frame object with its attributes."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.uid import EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage

from worker.errors import InputRejected
from worker.reading import headers
from worker.reading.headers import SourceFile

MULTI_FRAME = frozenset({EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage})
# Functional groups of CT (PS3.3 A.38.1, C.7.6.16), and the names that classic images have for some of their attributes.
GROUPS: dict[str, dict[str, str]] = {
    "PixelMeasuresSequence": {},
    "PlanePositionSequence": {},
    "PlaneOrientationSequence": {},
    "PixelValueTransformationSequence": {},
    "CTImageFrameTypeSequence": {"FrameType": "ImageType"},
    "CTReconstructionSequence": {},
    "CTXRayDetailsSequence": {},
    "FrameContentSequence": {
        "FrameAcquisitionNumber": "AcquisitionNumber",
        "TemporalPositionIndex": "TemporalPositionIdentifier",
    },
}
NOT_OF_A_FRAME = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "NumberOfFrames")


@dataclass(frozen=True, eq=False)
class SourceSlice:
    """One slice.

    Attributes
    ----------
    header
        Its attributes as those of a classic CT image, without pixels.
    frame
        Which frame of a multi-frame object it is, from 1; None for a classic image.
    """

    file: SourceFile
    header: Dataset
    frame: int | None = None

    @property
    def sop_uid(self) -> str:
        """SOPInstanceUID of the object that it is, or is a frame of."""
        return headers.text(self.header, "SOPInstanceUID")


def split(file: SourceFile) -> tuple[SourceSlice, ...]:
    """Return the slices of an object.

    Raises
    ------
    InputRejected
        ``no_geometry``: a multi-frame object whose frames are not described one by one.
    """
    if headers.text(file.header, "SOPClassUID") not in MULTI_FRAME:
        return (SourceSlice(file, file.header),)
    try:
        return tuple(_frames(file))
    except (*headers.MALFORMED, IndexError) as error:
        raise InputRejected(
            "A multi-frame CT does not describe its frames one by one; send the images as the scanner made them.",
            code="no_geometry",
            detail={
                "attribute": "PerFrameFunctionalGroupsSequence",
                "sop_uid": headers.text(file.header, "SOPInstanceUID"),
                "error": type(error).__name__,
            },
        ) from error


def _frames(file: SourceFile) -> Iterator[SourceSlice]:
    whole = file.header
    shared = (whole.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    own_groups = whole.PerFrameFunctionalGroupsSequence
    if len(own_groups) != int(whole.NumberOfFrames):
        raise ValueError(f"{len(own_groups)} descriptions of {whole.NumberOfFrames} frames")
    common = Dataset()
    common.update(whole)
    for keyword in NOT_OF_A_FRAME:
        common.pop(keyword, None)
    for number, own in enumerate(own_groups, start=1):
        yield SourceSlice(file, _flattened(common, shared, own), number)


def _flattened(common: Dataset, shared: Dataset, own: Dataset) -> Dataset:
    """Return the header that a classic image of one frame would have; its own groups go before the shared ones."""
    header = Dataset()
    header.update(common)
    for group, renamed in GROUPS.items():
        items = own.get(group) or shared.get(group) or [Dataset()]
        for element in items[0]:
            keyword = renamed.get(element.keyword, element.keyword)
            if keyword:
                # As a new element, because that of ``common`` is shared by all frames.
                header.add_new(keyword, dictionary_VR(keyword), element.value)
    return header
