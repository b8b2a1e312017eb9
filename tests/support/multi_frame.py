"""Classic CT slices as one multi-frame object, enhanced or converted."""

from collections.abc import Sequence

import highdicom as hd
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import EnhancedCTImageStorage, ExplicitVRLittleEndian, JPEGLSLossless

# Attribute of a classic image → functional group and attribute of a frame.
OF_A_FRAME = {
    "ImagePositionPatient": ("PlanePositionSequence", "ImagePositionPatient"),
    "ImageOrientationPatient": ("PlaneOrientationSequence", "ImageOrientationPatient"),
    "PixelSpacing": ("PixelMeasuresSequence", "PixelSpacing"),
    "SliceThickness": ("PixelMeasuresSequence", "SliceThickness"),
    "RescaleSlope": ("PixelValueTransformationSequence", "RescaleSlope"),
    "RescaleIntercept": ("PixelValueTransformationSequence", "RescaleIntercept"),
    "RescaleType": ("PixelValueTransformationSequence", "RescaleType"),
    "ImageType": ("CTImageFrameTypeSequence", "FrameType"),
    "ConvolutionKernel": ("CTReconstructionSequence", "ConvolutionKernel"),
    "AcquisitionNumber": ("FrameContentSequence", "FrameAcquisitionNumber"),
}
SOP_UID = "1.2.826.0.1.3680043.10.1613.1"


def enhanced(slices: Sequence[Dataset], shared: Sequence[str] = ("PixelSpacing", "SliceThickness")) -> Dataset:
    """Return one Enhanced CT whose frames are the slices; ``shared`` attributes are said once for all."""
    whole = Dataset()
    whole.update(slices[0])
    for keyword in (*OF_A_FRAME, "InstanceNumber"):
        whole.pop(keyword, None)
    whole.SOPClassUID, whole.SOPInstanceUID = EnhancedCTImageStorage, SOP_UID
    whole.ImageType, whole.NumberOfFrames = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"], len(slices)
    whole.SharedFunctionalGroupsSequence = [_groups(slices[0], shared)]
    own = [keyword for keyword in OF_A_FRAME if keyword not in shared]
    whole.PerFrameFunctionalGroupsSequence = [_groups(one, own) for one in slices]
    whole.PixelData = b"".join(one.PixelData for one in slices)
    whole["PixelData"].VR = "OW"
    whole.file_meta = FileMetaDataset()
    whole.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    whole.file_meta.MediaStorageSOPClassUID, whole.file_meta.MediaStorageSOPInstanceUID = (
        EnhancedCTImageStorage,
        SOP_UID,
    )
    return whole


def compressed(slices: Sequence[Dataset]) -> Dataset:
    """Return one Enhanced CT whose frames are compressed by JPEG-LS."""
    whole = enhanced(slices)
    frames = []
    for one in slices:
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one.compress(JPEGLSLossless, generate_instance_uid=False)
        frames.append(get_frame(one.PixelData, 0, number_of_frames=1))
    whole.PixelData = encapsulate(frames)
    whole["PixelData"].is_undefined_length = True
    whole.file_meta.TransferSyntaxUID = JPEGLSLossless
    return whole


def converted(slices: Sequence[Dataset]) -> Dataset:
    """Return the Legacy Converted Enhanced CT that highdicom makes of the slices."""
    return hd.legacy.LegacyConvertedEnhancedCTImage(
        legacy_datasets=slices,
        series_instance_uid=slices[0].SeriesInstanceUID,
        series_number=1,
        sop_instance_uid=SOP_UID,
        instance_number=1,
    )


def _groups(one: Dataset, keywords: Sequence[str]) -> Dataset:
    groups = Dataset()
    for keyword in keywords:
        if keyword in one:
            group, attribute = OF_A_FRAME[keyword]
            if group not in groups:
                setattr(groups, group, [Dataset()])
            setattr(groups[group].value[0], attribute, one[keyword].value)
    return groups
