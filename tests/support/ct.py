"""A tiny legal CT series for tests: computed, asymmetric in every direction, and quick."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from worker.analysis.records import (
    CONSOLIDATION,
    GROUND_GLASS,
    LEFT_LUNG,
    RETICULATION,
    RIGHT_LUNG,
    LungMask,
    PatternMap,
)
from worker.reading.volume import CTVolume

ROOT = "1.2.826.0.1.3680043.10.999"


@dataclass(frozen=True)
class TinyCT:
    """How the series looks. ``changes`` are attributes set on every slice; None deletes one."""

    slices: int = 12
    rows: int = 24
    columns: int = 32
    step_mm: float = 2.5
    pixel_mm: float = 0.8
    series: str = "1"
    changes: dict[str, object] = field(default_factory=dict)

    def hu(self) -> NDArray[np.int16]:
        """Return int16 (slices, rows, columns): a ramp in each direction, so that any flip shows."""
        z, y, x = np.indices((self.slices, self.rows, self.columns))
        return (-900 + 20 * z + 7 * y + 3 * x).astype(np.int16)

    def datasets(self) -> list[FileDataset]:
        """Return one data set per slice, from feet to head."""
        return [self._slice(index, plane) for index, plane in enumerate(self.hu())]

    def write(self, folder: Path) -> list[Path]:
        """Write the series and return its files."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for index, dataset in enumerate(self.datasets()):
            paths.append(folder / f"{index:03d}.dcm")
            dataset.save_as(paths[-1], enforce_file_format=True)
        return paths

    def volume(self) -> CTVolume:
        """Return the volume as it should be read."""
        affine = np.diag([1.0, 1.0, 1.0, 1.0])
        affine[:3, :3] = [[0, 0, self.pixel_mm], [0, self.pixel_mm, 0], [self.step_mm, 0, 0]]
        affine[:3, 3] = [-10, -20, -100]
        uids = tuple(self._sop_uid(index) for index in range(self.slices))
        return CTVolume(self.hu(), affine, uids, f"{ROOT}.{self.series}.3", self.step_mm)

    def masks(self) -> tuple[LungMask, PatternMap]:
        """Return two lungs of unlike size with unlike disease: nothing is symmetric."""
        shape = (self.slices, self.rows, self.columns)
        lungs, patterns = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
        lungs[2:10, 4:20, 3:13] = RIGHT_LUNG
        lungs[3:9, 6:18, 18:29] = LEFT_LUNG
        patterns[2:5, 12:20, 3:8] = GROUND_GLASS
        patterns[3:4, 14:18, 18:24] = RETICULATION
        patterns[6:8, 8:12, 5:9] = CONSOLIDATION
        return LungMask(lungs), PatternMap(patterns)

    def _sop_uid(self, index: int) -> str:
        return f"{ROOT}.{self.series}.2.{index + 1}"

    def _slice(self, index: int, plane: NDArray[np.int16]) -> FileDataset:
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = CTImageStorage, ExplicitVRLittleEndian
        meta.MediaStorageSOPInstanceUID = self._sop_uid(index)
        ds = FileDataset("", Dataset(), preamble=b"\0" * 128, file_meta=meta)
        ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, self._sop_uid(index)
        ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{ROOT}.{self.series}", f"{ROOT}.{self.series}.1"
        ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = f"{ROOT}.{self.series}.3", ""
        ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "PHANTOM^TINY", "TINY", "19700101", "O"
        ds.StudyDate, ds.StudyTime, ds.SeriesDate, ds.SeriesTime = "20260101", "120000", "20260101", "120000"
        ds.AccessionNumber, ds.StudyID, ds.ReferringPhysicianName = "ACC1", "1", ""
        ds.Modality, ds.ImageType, ds.Manufacturer = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"], "Tests"
        ds.SeriesNumber, ds.InstanceNumber, ds.AcquisitionNumber = 1, index + 1, 1
        ds.KVP, ds.SliceThickness, ds.PatientPosition = "120", str(self.step_mm), "HFS"
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.ImagePositionPatient = [-10, -20, -100 + index * self.step_mm]
        ds.PixelSpacing = [self.pixel_mm, self.pixel_mm]
        ds.Rows, ds.Columns, ds.SamplesPerPixel = self.rows, self.columns, 1
        ds.PhotometricInterpretation, ds.PixelRepresentation = "MONOCHROME2", 0
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 12, 11
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = 1, -1024, "HU"
        ds.PixelData = (plane.astype(np.int32) + 1024).astype("<u2").tobytes()
        for keyword, value in self.changes.items():
            if value is None:
                delattr(ds, keyword)
            else:
                setattr(ds, keyword, value)
        return ds
