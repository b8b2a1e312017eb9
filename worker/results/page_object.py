"""The page as DICOM: one multi-frame true colour secondary capture (PS3.3 A.8.5)."""

from collections.abc import Sequence

import highdicom as hd
import numpy as np
from PIL import Image
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.uid import MultiFrameTrueColorSecondaryCaptureImageStorage as TrueColour

from worker.results import page_sheet
from worker.results.source import MANUFACTURER, ResultSource

PLACE = 5
ABOVE, BELOW = 104, 72
DESCRIPTION = "ILD page (Scleroscan, research)"


def encode(source: ResultSource, frames: Sequence[Image.Image]) -> Dataset:
    """Return the object: RGB, a page each frame, of one size."""
    pixels = [np.asarray(_with_room(frame)) for frame in frames]
    first = source.images[0]
    result = hd.sc.SCImage.from_ref_dataset(
        ref_dataset=first,
        pixel_array=pixels[0],
        transfer_syntax_uid=ExplicitVRLittleEndian,
        photometric_interpretation=hd.PhotometricInterpretationValues.RGB,
        bits_allocated=8,
        coordinate_system=hd.CoordinateSystemNames.PATIENT,
        series_instance_uid=source.uid("page series"),
        series_number=source.series_number(PLACE),
        sop_instance_uid=source.uid("page"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        patient_orientation=("L", "F"),
        contributing_equipment=[source.equipment()],
        specific_character_set="ISO_IR 192",
    )
    _become_multi_frame(result, pixels)
    result.BurnedInAnnotation = "NO"
    result.ImageType = ["DERIVED", "SECONDARY"]
    source.stamp(result, DESCRIPTION)
    # highdicom takes the moment of drawing: a repeat would be another object under the same SOP Instance UID.
    result.DateOfSecondaryCapture, result.TimeOfSecondaryCapture = result.ContentDate, result.ContentTime
    return result


def _with_room(frame: Image.Image) -> Image.Image:
    """Leave room above and below, where viewers write date, series and window over the picture."""
    roomy = Image.new("RGB", (frame.width, ABOVE + frame.height + BELOW), page_sheet.BACKGROUND)
    roomy.paste(frame, (0, ABOVE))
    return roomy


def _become_multi_frame(result: Dataset, pixels: Sequence[np.ndarray]) -> None:
    """Give the single image its other frames; the frames are pages (PS3.3 C.8.6.3, C.8.6.4)."""
    result.SOPClassUID = result.file_meta.MediaStorageSOPClassUID = TrueColour
    result.NumberOfFrames = len(pixels)
    result.FrameIncrementPointer = 0x00182001
    result.PageNumberVector = list(range(1, len(pixels) + 1))
    result.PixelData = np.stack(pixels).tobytes()
    # A page is no side of the body and lies in no direction: both are empty (type 2C).
    result.PatientOrientation = result.Laterality = ""
