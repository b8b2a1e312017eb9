"""Tells the slices of the scanner's own reconstruction from the other objects of a series."""

import re

from pydicom import Dataset
from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage, XRayRadiationDoseSRStorage

from worker.errors import InputRejected
from worker.reading import headers, slices

IMAGES = slices.MULTI_FRAME | {CTImageStorage}
REASONS: dict[str, str] = {
    SecondaryCaptureImageStorage: "secondary_capture",
    XRayRadiationDoseSRStorage: "dose_sheet",
}
# Words of ImageType from value 3 on; vendors write them alone (MPR), or in phrases (CSA MPR, CT_SOM5 PROT).
LOCALIZER_WORDS = frozenset({"LOCALIZER", "SCOUT", "TOPOGRAM", "SURVIEW"})
DOSE_WORDS = frozenset({"PROT", "DOSE", "REPORT"})
REFORMAT_WORDS = frozenset(
    {"AVERAGE", "CPR", "MIP", "MINIP", "MPR", "PROJECTION", "REFORMATTED", "RENDERING", "VRT", "SSD"}
)


def set_aside(header: Dataset) -> str | None:
    """Say why an object, or a frame of one, is no slice; None where it is one."""
    sop_class = headers.text(header, "SOPClassUID")
    if sop_class not in IMAGES or headers.text(header, "Modality") not in {"", "CT"}:
        return REASONS.get(sop_class, "not_ct_image")
    words = _words(header)
    if words & LOCALIZER_WORDS:
        return "localizer"
    if words & DOSE_WORDS:
        return "dose_sheet"
    # PS3.3 C.8.2.1.1.1 has slices as PRIMARY: a secondary one that lies nowhere is a page of text or a screenshot.
    if "SECONDARY" in headers.image_type(header)[1:2] and "ImagePositionPatient" not in header:
        return "secondary_capture"
    return None


def is_computed(header: Dataset) -> bool:
    """Whether a slice is a reformat or a projection rather than a reconstruction of the scanner.

    DERIVED alone is no sign where the image is PRIMARY: compression with loss makes an original DERIVED
    (PS3.3 C.7.6.1.1.5), and so do de-identifiers that touch its pixels. Multi-frame CT has an attribute for it
    (PS3.3 C.8.16.2.3.3).
    """
    technique = headers.text(header, "VolumeBasedCalculationTechnique").upper()
    derived = headers.image_type(header)[:2] == ("DERIVED", "SECONDARY")
    return derived or technique not in {"", "NONE"} or bool(_words(header) & REFORMAT_WORDS)


def only_computed(header: Dataset) -> InputRejected:
    """Return the refusal of a series that holds nothing but computed images."""
    kind = headers.image_type(header)
    return InputRejected(
        f"The images are reformatted or computed ({' '.join(kind)}), not what the scanner reconstructed; "
        "send the axial originals.",
        code="derived_image",
        detail={"image_type": "\\".join(kind), "sop_uid": headers.text(header, "SOPInstanceUID")},
    )


def _words(header: Dataset) -> set[str]:
    """Return the single words of ImageType after patient and pixel characteristics."""
    return {word for value in headers.image_type(header)[2:] for word in re.split(r"[^A-Z0-9]+", value)}
