"""DICOM SEG: disease in one, lungs in another, or both in one; as bits or as labels, each bound to its source slice."""

from copy import deepcopy
from typing import Any

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from worker.analysis.records import LungMask, PatternMap
from worker.results import codes, frames
from worker.results.segments import Content, Segment
from worker.results.source import MANUFACTURER, PRODUCT, ResultSource

BINARY, LABELMAP = hd.seg.SegmentationTypeValues.BINARY, hd.seg.SegmentationTypeValues.LABELMAP


def encode(source: ResultSource, content: Content, lungs: LungMask, patterns: PatternMap) -> Dataset:
    """Return the SEG: BINARY, one frame for each slice and segment that is not empty, or LABELMAP, one for each slice.

    An absent pattern keeps its segment, without frames or voxels.
    """
    masks = [frames.Mask((lungs if one.laterality else patterns).labels, one.value) for one in content.segments]
    drawn = _drawn(content, lungs, patterns)
    # An SEG has a frame: where nothing is found, one for each segment, in the middle.
    nothing = not drawn.any()
    drawn[len(drawn) // 2] |= nothing
    made = _with_one_frame_a_plane(source, content, drawn, lungs.labels.shape)
    slices = _slices(made, source)
    source.refer(made)
    # Not highdicom's own class: that keeps tables of the frames that it made.
    result = Dataset(dict(made.items()))
    result.file_meta = made.file_meta
    if content.labelmap:
        frames.label(result, slices, masks)
        # With an item for the background OHIF 3.13.2 shifts all colours by one, and ground glass has none.
        result.SegmentSequence = Sequence(one for one in result.SegmentSequence if one.SegmentNumber)
    else:
        frames.spread(result, slices, masks, omit_empty=not nothing)
    result.SegmentsOverlap = "YES" if content.mixed and _overlap(lungs, patterns) else "NO"
    source.stamp(result, content.description)
    # highdicom draws this one anew each time: a repeat would write another object under the same SOP Instance UID.
    if content.deflated:
        result.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    for item in (*result.DimensionOrganizationSequence, *result.DimensionIndexSequence):
        item.DimensionOrganizationUID = source.uid(f"{content.role} dimensions")
    return result


def _drawn(content: Content, lungs: LungMask, patterns: PatternMap) -> NDArray[np.bool_]:
    """Return for each slice whether something of the content is on it."""
    of_lungs = any(one.laterality for one in content.segments)
    of_patterns = not all(one.laterality for one in content.segments)
    on_lungs, on_patterns = (labels.any(axis=(1, 2)) for labels in (lungs.labels, patterns.labels))
    return np.asarray((on_lungs & of_lungs) | (on_patterns & of_patterns))


def _with_one_frame_a_plane(
    source: ResultSource, content: Content, used: NDArray[np.bool_], shape: tuple[int, ...]
) -> hd.seg.Segmentation:
    """Return the SEG with the first segment all over each used plane, in place of what is there.

    highdicom wants all segments in one array: 1.2 GB more at 300 slices, and most of the seconds.
    """
    # A view of one byte for each slice.
    all_over = np.broadcast_to(used.astype(np.uint8)[:, None, None], shape)
    return hd.seg.Segmentation(pixel_array=all_over, **attributes(source, content))


def attributes(source: ResultSource, content: Content) -> dict[str, Any]:
    """Return what highdicom is told of a SEG besides its pixels."""
    return {
        "source_images": source.images,
        "segmentation_type": LABELMAP if content.labelmap else BINARY,
        "segment_descriptions": [_description(*numbered, source) for numbered in enumerate(content.segments, start=1)],
        "series_instance_uid": source.uid(f"{content.role} series"),
        "series_number": source.series_number(content.place),
        "sop_instance_uid": source.uid(content.role),
        "instance_number": 1,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": PRODUCT,
        "software_versions": source.maker.software_version,
        "device_serial_number": source.device_serial_number,
        "content_description": content.description,
        "content_label": content.label,
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


def _overlap(lungs: LungMask, patterns: PatternMap) -> bool:
    """Whether a voxel lies in two segments; slice by slice, which needs no memory."""
    pairs = zip(lungs.labels, patterns.labels, strict=True)
    return any(bool(np.logical_and(lung, pattern).any()) for lung, pattern in pairs)


def _description(number: int, segment: Segment, source: ResultSource) -> hd.seg.SegmentDescription:
    description = hd.seg.SegmentDescription(
        segment_number=number,
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
