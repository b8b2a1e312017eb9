"""Small computed CT series as files: a scene in patient space, sampled wherever the slices lie."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import format_number_as_ds

from worker.reading.volume import CTVolume

ROOT = "1.2.826.0.1.3680043.10.1612"
SERIES_UID, STUDY_UID, FRAME_UID = f"{ROOT}.2", f"{ROOT}.1", f"{ROOT}.3"
AIR, WATER, BONE = -1000, 0, 700
NATIVE: dict[str, tuple[bool, bool]] = {
    ImplicitVRLittleEndian: (True, True),
    ExplicitVRLittleEndian: (False, True),
    DeflatedExplicitVRLittleEndian: (False, True),
    ExplicitVRBigEndian: (False, False),
}


@dataclass(frozen=True)
class Scan:
    """How a scene is sampled: (slices, rows, columns), mm, LPS directions of column index, row index and slice."""

    shape: tuple[int, int, int] = (12, 16, 24)
    spacing_mm: tuple[float, float, float] = (2.5, 1.5, 1.0)
    first_mm: tuple[float, float, float] = (-12.0, -11.0, -130.0)
    along_columns: tuple[float, float, float] = (1.0, 0.0, 0.0)
    along_rows: tuple[float, float, float] = (0.0, 1.0, 0.0)
    along_slices: tuple[float, float, float] = (0.0, 0.0, 1.0)


def scene(xyz: NDArray[np.float64]) -> NDArray[np.int16]:
    """HU at LPS points (…, 3): water with one bone that lies left, in front and low, in air."""
    x, y, z = np.moveaxis(xyz, -1, 0)
    hu = np.where(x**2 + y**2 < 81, WATER, AIR)
    bone = (abs(x - 4) < 2.2) & (abs(y + 3) < 2.2) & (z < -115)
    return np.where(bone, BONE, hu).astype(np.int16)


def places(volume: CTVolume) -> NDArray[np.float64]:
    """LPS mm of every voxel centre of a volume, (slices, rows, columns, 3)."""
    index = np.stack(np.meshgrid(*map(np.arange, volume.hu.shape), indexing="ij"), axis=-1)
    return np.asarray(index @ volume.affine[:3, :3].T + volume.affine[:3, 3])


def slices(scan: Scan | None = None) -> list[Dataset]:
    """Return the slices of a scan as data sets, unsigned 12 bit with intercept −1024."""
    scan = scan or Scan()
    return [_slice(scan, index) for index in range(scan.shape[0])]


def _slice(scan: Scan, index: int) -> Dataset:
    corner = np.array(scan.first_mm) + index * scan.spacing_mm[0] * np.array(scan.along_slices)
    rows = np.arange(scan.shape[1])[:, None, None] * scan.spacing_mm[1] * np.array(scan.along_rows)
    columns = np.arange(scan.shape[2])[None, :, None] * scan.spacing_mm[2] * np.array(scan.along_columns)
    ds = _common(scan)
    ds.SOPInstanceUID = f"{SERIES_UID}.{index + 1}"
    ds.InstanceNumber = index + 1
    ds.ImagePositionPatient = decimals(corner)
    store(ds, scene(corner + rows + columns))
    return ds


def _common(scan: Scan) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID, ds.Modality, ds.ImageType = CTImageStorage, "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = STUDY_UID, SERIES_UID, FRAME_UID
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "PHANTOM", "PHANTOM", "19700101", "O"
    ds.ConvolutionKernel, ds.AcquisitionNumber, ds.SliceThickness = "B70f", 1, decimal(scan.spacing_mm[0])
    ds.ImageOrientationPatient = decimals((*scan.along_columns, *scan.along_rows))
    ds.PixelSpacing = decimals(scan.spacing_mm[1:])
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    return ds


def store(
    ds: Dataset,
    hu: NDArray[np.integer] | NDArray[np.float64],
    *,
    slope: float = 1.0,
    intercept: float = -1024.0,
    bits: int = 12,
    signed: bool = False,
) -> None:
    """Put HU into a data set as stored values of 16 bits allocated, junk-free, little endian."""
    stored = np.rint((hu - intercept) / slope).astype(np.int64)
    ds.Rows, ds.Columns = hu.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, bits, bits - 1, int(signed)
    ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = decimal(slope), decimal(intercept), "HU"
    ds.PixelData = (stored & ((1 << bits) - 1)).astype("<u2").tobytes()
    ds["PixelData"].VR = "OW"


def write(folder: Path, datasets: Iterable[Dataset], transfer_syntax: str = ExplicitVRLittleEndian) -> list[Path]:
    """Write data sets as Part 10 files and return their paths in the same order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, ds in enumerate(datasets):
        paths.append(folder / f"{number:04d}.dcm")
        write_one(paths[-1], ds, transfer_syntax)
    return paths


def write_one(path: Path, ds: Dataset, transfer_syntax: str = ExplicitVRLittleEndian) -> None:
    """Write one data set: natively, or compressed by pydicom."""
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.get("SOPClassUID", CTImageStorage)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.get("SOPInstanceUID", ROOT)
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if transfer_syntax not in NATIVE:
        ds.compress(transfer_syntax, generate_instance_uid=False)
        ds.save_as(path, enforce_file_format=True)
        return
    implicit, little = NATIVE[transfer_syntax]
    ds.file_meta.TransferSyntaxUID = UID(transfer_syntax)
    if not little:
        ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
    ds.save_as(path, enforce_file_format=True, implicit_vr=implicit, little_endian=little)


def decimal(value: float) -> str:
    """Return a DS of at most 16 characters."""
    return format_number_as_ds(float(value))


def decimals(values: Sequence[float] | NDArray[np.float64]) -> list[str]:
    """Return several DS."""
    return [decimal(v) for v in values]
