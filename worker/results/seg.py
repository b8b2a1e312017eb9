"""DICOM SEG: left lung, right lung, ground glass, reticulation, consolidation, each voxel bound to its source slice."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import highdicom as hd
import numpy as np
from highdicom.sr.coding import CodedConcept
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from worker.analysis.records import (
    CONSOLIDATION,
    GROUND_GLASS,
    LEFT_LUNG,
    RETICULATION,
    RIGHT_LUNG,
    LungMask,
    PatternMap,
)
from worker.results import codes, frames
from worker.results.source import MANUFACTURER, PRODUCT, ResultSource

SERIES_NUMBER = 7001
DESCRIPTION = "Scleroscan ILD segmentation (research)"


@dataclass(frozen=True)
class Segment:
    """One segment: its number, what it is, and how it is shown (sRGB 0..255)."""

    number: int
    finding: str
    label: str
    category: CodedConcept
    kind: CodedConcept
    laterality: CodedConcept | None
    colour: tuple[int, int, int]


SEGMENTS = (
    Segment(1, "left lung", "Left lung", codes.ANATOMICAL_STRUCTURE, codes.LUNG, codes.LEFT, (92, 160, 255)),
    Segment(2, "right lung", "Right lung", codes.ANATOMICAL_STRUCTURE, codes.LUNG, codes.RIGHT, (92, 220, 200)),
    Segment(
        3,
        "ground glass",
        "Ground glass opacity",
        codes.ABNORMAL_STRUCTURE,
        codes.GROUND_GLASS_OPACITY,
        None,
        (255, 200, 60),
    ),
    Segment(4, "reticulation", "Reticulation", codes.ABNORMAL_STRUCTURE, codes.RETICULAR_PATTERN, None, (235, 80, 110)),
    Segment(5, "consolidation", "Consolidation", codes.ABNORMAL_STRUCTURE, codes.CONSOLIDATION, None, (190, 120, 255)),
)


def encode(source: ResultSource, lungs: LungMask, patterns: PatternMap) -> Dataset:
    """Return the SEG: BINARY, one frame for each slice and segment that is not empty.

    An absent pattern keeps its segment, without frames.
    """
    drawn = lungs.labels.any(axis=(1, 2)) | patterns.labels.any(axis=(1, 2))
    nothing = np.logical_not(drawn.any())
    # An SEG has frames: where nothing is found, all of them, as highdicom does.
    made = _with_one_frame_a_plane(source, drawn | nothing, lungs.labels.shape)
    slices = _slices(made, source)
    source.refer(made)
    # Not highdicom's own class: that keeps tables of the frames that it made.
    result = Dataset(dict(made.items()))
    result.file_meta = made.file_meta
    frames.spread(result, slices, _masks(lungs, patterns), omit_empty=not nothing)
    result.SegmentsOverlap = "YES" if _overlap(lungs, patterns) else "NO"
    source.stamp(result, DESCRIPTION)
    # highdicom draws this one anew each time: a repeat would write another object under the same SOP Instance UID.
    for item in (*result.DimensionOrganizationSequence, *result.DimensionIndexSequence):
        item.DimensionOrganizationUID = source.uid("seg dimensions")
    return result


def _with_one_frame_a_plane(
    source: ResultSource, used: NDArray[np.bool_], shape: tuple[int, ...]
) -> hd.seg.Segmentation:
    """Return the SEG with the first segment all over each used plane, in place of the frames of all segments.

    highdicom wants all segments in one array: 1.2 GB more at 300 slices, and most of the seconds.
    """
    # A view of one byte for each slice.
    all_over = np.broadcast_to(used.astype(np.uint8)[:, None, None], shape)
    return hd.seg.Segmentation(pixel_array=all_over, **attributes(source))


def attributes(source: ResultSource) -> dict[str, Any]:
    """Return what highdicom is told of a SEG besides its pixels."""
    return {
        "source_images": source.images,
        "segmentation_type": hd.seg.SegmentationTypeValues.BINARY,
        "segment_descriptions": [_description(segment, source) for segment in SEGMENTS],
        "series_instance_uid": source.uid("seg series"),
        "series_number": SERIES_NUMBER,
        "sop_instance_uid": source.uid("seg"),
        "instance_number": 1,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": PRODUCT,
        "software_versions": source.maker.software_version,
        "device_serial_number": source.device_serial_number,
        "content_description": DESCRIPTION,
        "content_label": "ILD",
        "content_creator_name": "",
        "transfer_syntax_uid": ExplicitVRLittleEndian,
        "contributing_equipment": [source.equipment()],
        "specific_character_set": "ISO_IR 192",
        "content_qualification": "RESEARCH",
        "omit_empty_frames": True,
    }


def _slices(made: hd.seg.Segmentation, source: ResultSource) -> list[int]:
    """Return which slice each frame stands for, by the image that it names: highdicom sorts the planes."""
    at = {image.SOPInstanceUID: index for index, image in enumerate(source.images)}
    frames_made = made.PerFrameFunctionalGroupsSequence
    named = (groups.DerivationImageSequence[0].SourceImageSequence[0] for groups in frames_made)
    return [at[image.ReferencedSOPInstanceUID] for image in named]


def _masks(lungs: LungMask, patterns: PatternMap) -> tuple[frames.Mask, ...]:
    """Return where each segment is, in the order of :data:`SEGMENTS`."""
    return (
        frames.Mask(lungs.labels, LEFT_LUNG),
        frames.Mask(lungs.labels, RIGHT_LUNG),
        frames.Mask(patterns.labels, GROUND_GLASS),
        frames.Mask(patterns.labels, RETICULATION),
        frames.Mask(patterns.labels, CONSOLIDATION),
    )


def _overlap(lungs: LungMask, patterns: PatternMap) -> bool:
    """Whether a voxel lies in two segments; slice by slice, which needs no memory."""
    pairs = zip(lungs.labels, patterns.labels, strict=True)
    return any(bool(np.logical_and(lung, pattern).any()) for lung, pattern in pairs)


def _description(segment: Segment, source: ResultSource) -> hd.seg.SegmentDescription:
    description = hd.seg.SegmentDescription(
        segment_number=segment.number,
        segment_label=segment.label,
        segmented_property_category=segment.category,
        # A copy: the laterality added below belongs to this segment, not to the code of every lung.
        segmented_property_type=deepcopy(segment.kind),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=source.algorithm(),
        tracking_uid=source.tracking_uid(segment.finding),
        tracking_id=f"Scleroscan {segment.finding}",
        anatomic_regions=None if segment.laterality else [codes.LUNG],
        display_color=hd.color.CIELabColor.from_rgb(*segment.colour),
    )
    if segment.laterality is not None:
        kind = description.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = Sequence([segment.laterality])
    return description
