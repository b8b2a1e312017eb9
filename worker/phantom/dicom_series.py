"""The phantom as a CT series: DICOM files such as a scanner would send."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian
from pydicom.valuerep import format_number_as_ds

from worker.phantom.chest_ct import Phantom, uid_of

# Stored values are unsigned 12 bit, as most scanners write them; air outside the body is 24.
RESCALE_INTERCEPT = -1024
BITS_STORED = 12
SCANNER = "Scleroscan phantom"


@dataclass(frozen=True)
class PhantomIdentity:
    """Who and when the phantom pretends to be; dates as YYYYMMDD, times as HHMMSS, all DICOM text."""

    patient_name: str = "PHANTOM^SSC"
    patient_id: str = "PHANTOM-SSC"
    birth_date: str = "19700101"
    sex: str = "O"
    accession_number: str = "PHANTOM"
    study_date: str = "20260101"
    study_time: str = "120000"


def write_series(phantom: Phantom, folder: Path, identity: PhantomIdentity) -> list[Path]:
    """Write one file per slice, from feet to head, and return their paths in that order.

    CT Image Storage (PS3.3 A.3), Explicit VR Little Endian. UIDs derive from the phantom's spec, so the same phantom is
    the same series each time; SOP Instance UIDs are those of ``phantom.volume``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    common = _common(phantom, identity)
    paths = []
    for index, sop_uid in enumerate(phantom.volume.sop_uids):
        path = folder / f"{index + 1:04d}.dcm"
        dataset = FileDataset(str(path), common, preamble=b"\0" * 128, file_meta=_meta(sop_uid))
        _place(dataset, phantom, index)
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def _meta(sop_uid: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = UID(sop_uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return meta


def _common(phantom: Phantom, identity: PhantomIdentity) -> Dataset:
    """Return what all slices share."""
    ds = Dataset()
    _describe_patient(ds, identity)
    _describe_study(ds, phantom, identity)
    _describe_scan(ds, phantom)
    _describe_pixels(ds, phantom)
    return ds


def _describe_patient(ds: Dataset, identity: PhantomIdentity) -> None:
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName = identity.patient_name
    ds.PatientID = identity.patient_id
    ds.PatientBirthDate = identity.birth_date
    ds.PatientSex = identity.sex


def _describe_study(ds: Dataset, phantom: Phantom, identity: PhantomIdentity) -> None:
    ds.StudyInstanceUID = uid_of(phantom.spec, "study")
    ds.SeriesInstanceUID = uid_of(phantom.spec, "series")
    ds.FrameOfReferenceUID = phantom.volume.frame_of_reference_uid
    ds.PositionReferenceIndicator = ""
    ds.AccessionNumber = identity.accession_number
    ds.ReferringPhysicianName = ""
    ds.StudyID = "1"
    ds.StudyDescription = "Computed chest CT, no patient"
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = identity.study_date
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = identity.study_time
    ds.SeriesNumber = 1
    ds.SeriesDescription = "Chest phantom"
    ds.AcquisitionNumber = 1


def _describe_scan(ds: Dataset, phantom: Phantom) -> None:
    ds.SOPClassUID = CTImageStorage
    ds.Modality = "CT"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.BodyPartExamined = "CHEST"
    ds.PatientPosition = "HFS"
    ds.Manufacturer = ds.ManufacturerModelName = SCANNER
    ds.KVP = 120
    ds.ConvolutionKernel = f"FWHM {phantom.spec.protocol.kernel_fwhm_mm:.2f} mm"
    ds.SliceThickness = _decimal(phantom.spec.spacing_mm[0])


def _describe_pixels(ds: Dataset, phantom: Phantom) -> None:
    _, row_mm, column_mm = phantom.volume.spacing_mm
    ds.PixelSpacing = [_decimal(row_mm), _decimal(column_mm)]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = phantom.volume.hu.shape[1:]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, BITS_STORED, BITS_STORED - 1
    ds.PixelRepresentation = 0
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = RESCALE_INTERCEPT, 1, "HU"
    ds.WindowCenter, ds.WindowWidth = -600, 1500


def _place(ds: Dataset, phantom: Phantom, index: int) -> None:
    """Add what belongs to one slice alone."""
    corner = phantom.volume.affine @ (index, 0, 0, 1)
    ds.SOPInstanceUID = phantom.volume.sop_uids[index]
    ds.InstanceNumber = index + 1
    ds.ImagePositionPatient = [_decimal(v) for v in corner[:3]]
    ds.SliceLocation = _decimal(corner[2])
    stored = phantom.volume.hu[index].astype(np.int32) - RESCALE_INTERCEPT
    ds.PixelData = stored.astype("<u2").tobytes()


def _decimal(value: float) -> str:
    """Return a decimal string of at most 16 characters (PS3.5 6.2)."""
    return format_number_as_ds(float(value))
