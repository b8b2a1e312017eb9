"""Which objects of a series are slices of the scanner's own axial reconstruction."""

import re

from pydicom import Dataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    SecondaryCaptureImageStorage,
    XRayRadiationDoseSRStorage,
)

from worker.errors import InputRejected
from worker.reading import headers

ENHANCED = frozenset({EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage})
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
    """Say why an object is no slice; None where it is one.

    Raises
    ------
    InputRejected
        ``enhanced_ct_unsupported``.
    """
    sop_class = headers.text(header, "SOPClassUID")
    if sop_class in ENHANCED:
        raise InputRejected(
            "Enhanced multi-frame CT is received and kept, but not measured yet; send the classic CT images.",
            code="enhanced_ct_unsupported",
            detail={"sop_class": sop_class, "sop_uid": headers.text(header, "SOPInstanceUID")},
        )
    if sop_class != CTImageStorage or headers.text(header, "Modality") not in {"", "CT"}:
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


def require_original(header: Dataset) -> None:
    """Refuse reformats and projections.

    DERIVED alone is no reason where the image is PRIMARY: compression with loss makes an original DERIVED
    (PS3.3 C.7.6.1.1.5), and so do de-identifiers that touch its pixels.

    Raises
    ------
    InputRejected
        ``derived_image``.
    """
    kind = headers.image_type(header)
    if kind[:2] == ("DERIVED", "SECONDARY") or _words(header) & REFORMAT_WORDS:
        raise InputRejected(
            f"The images are reformatted or computed ({' '.join(kind)}), not what the scanner reconstructed; "
            "send the axial originals.",
            code="derived_image",
            detail={"image_type": "\\".join(kind), "sop_uid": headers.text(header, "SOPInstanceUID")},
        )


def _words(header: Dataset) -> set[str]:
    """Return the single words of ImageType after patient and pixel characteristics."""
    return {word for value in headers.image_type(header)[2:] for word in re.split(r"[^A-Z0-9]+", value)}
