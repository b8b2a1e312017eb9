"""Our codes as the coded reason of a discontinued step (PS3.16 CID 9300): what a requester's system can act on."""

from typing import Final

from worker.worklist_section import Code

OBJECT_SET_INCOMPLETE: Final = Code(value="110523", scheme="DCM", meaning="Object Set incomplete")
NOT_SUPPORTED: Final = Code(value="110522", scheme="DCM", meaning="Object Types not supported")
BADLY_FORMATTED: Final = Code(value="110521", scheme="DCM", meaning="Objects incorrectly formatted")
EQUIPMENT_FAILURE: Final = Code(value="110501", scheme="DCM", meaning="Equipment failure")
UNSPECIFIED: Final = Code(value="110513", scheme="DCM", meaning="Discontinued for unspecified reason")
NO_INPUT, IMAGES_NOT_HERE = "no_input", "images_not_here"
# Of the codes of refusals, of series, of jobs and of work items.
CODES: Final = {
    OBJECT_SET_INCOMPLETE: (
        *(IMAGES_NOT_HERE, "missing_slices", "too_few_slices"),
        *("fewer_than_expected", "fewer_than_before", "association_broken_off"),
    ),
    NOT_SUPPORTED: (NO_INPUT, "not_ct", "derived_image", "not_axial", "not_chest", "not_eligible"),
    BADLY_FORMATTED: (
        *("unreadable_file", "no_identity", "mixed_series", "several_studies", "several_patients", "no_geometry"),
        *("no_frame_of_reference", "several_frames_of_reference", "mixed_geometry", "duplicate_positions"),
        *("gantry_tilt", "irregular_spacing", "shifted_slices", "several_stacks", "not_hounsfield", "pixel_bomb"),
        *("undecodable_pixels", "unjudgeable"),
    ),
    EQUIPMENT_FAILURE: ("attempts_exhausted", "delivery_failed", "image_changed", "encoding_failed"),
}
REASONS: Final = {code: reason for reason, codes in CODES.items() for code in codes}


def of(code: str) -> Code:
    """Return the coded reason for one of our codes."""
    return REASONS.get(code, UNSPECIFIED)
