"""The page as a PDF in DICOM, for archives that show documents rather than captures (PS3.3 A.45.1)."""

from collections.abc import Sequence
from io import BytesIO

import highdicom as hd
from PIL import Image
from pydicom import Dataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from worker.results import codes
from worker.results.source import MANUFACTURER, PRODUCT, ResultSource

PLACE = 4
DESCRIPTION = "ILD page, PDF (Scleroscan, research)"
DOTS_PER_INCH, JPEG_QUALITY = 125, 95


def encode(source: ResultSource, frames: Sequence[Image.Image]) -> Dataset:
    """Return the document: a frame of the page on each of its pages."""
    first = source.images[0]
    result = hd.base.SOPClass(
        study_instance_uid=first.StudyInstanceUID,
        series_instance_uid=source.uid("pdf series"),
        series_number=source.series_number(PLACE),
        sop_instance_uid=source.uid("pdf"),
        sop_class_uid=EncapsulatedPDFStorage,
        instance_number=1,
        modality="DOC",
        manufacturer=MANUFACTURER,
        manufacturer_model_name=PRODUCT,
        software_versions=source.maker.software_version,
        device_serial_number=source.device_serial_number,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        specific_character_set="ISO_IR 192",
    )
    result.copy_patient_and_study_information(first)
    document = _document(source, frames)
    result.ConversionType = "WSD"
    result.BurnedInAnnotation = "NO"
    result.AcquisitionDateTime = None
    result.DocumentTitle = DESCRIPTION
    result.ConceptNameCodeSequence = [codes.IMAGING_MEASUREMENT_REPORT]
    result.MIMETypeOfEncapsulatedDocument = "application/pdf"
    result.ContributingEquipmentSequence = [source.equipment()]
    result.EncapsulatedDocumentLength = len(document)
    result.EncapsulatedDocument = document + b"\0" * (len(document) % 2)
    source.stamp(result, DESCRIPTION)
    return result


def _document(source: ResultSource, frames: Sequence[Image.Image]) -> bytes:
    """Return the PDF; its dates are those of the job, so that the same job writes the same bytes."""
    pages, buffer = [frame.convert("RGB") for frame in frames], BytesIO()
    made = source.created_at.utctimetuple()
    pages[0].save(
        buffer,
        "PDF",
        save_all=True,
        append_images=pages[1:],
        resolution=DOTS_PER_INCH,
        quality=JPEG_QUALITY,
        title=DESCRIPTION,
        producer=PRODUCT,
        creationDate=made,
        modDate=made,
    )
    return buffer.getvalue()
