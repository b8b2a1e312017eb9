"""Any legal CT series, drawn by hypothesis: where its voxels lie and what they hold is known."""

from dataclasses import dataclass

import imagecodecs
import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataelem import DataElement
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from tests.support import ct_files
from tests.support.ct_files import FRAME_UID, NATIVE, SERIES_UID, STUDY_UID

Numbers = NDArray[np.int64]
# A DS has 16 characters: a cosine of 1e-17, which is 0, would need more.
PLACES = 9
FLOOR, CEILING = -1024, 32767
SYNTAXES = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
    HTJ2KLossless,
)


def decimals(values: NDArray[np.float64]) -> list[str]:
    """Return several DS."""
    return ct_files.decimals(np.round(values, PLACES))


@dataclass(frozen=True, eq=False)
class LegalSeries:
    """A series and its truth.

    Attributes
    ----------
    stored
        Stored values, (slices, rows, columns), slices from feet to head.
    hu
        What they mean, in the same order.
    affine
        (slice, row, column, 1) → LPS mm.
    scale
        RescaleSlope and RescaleIntercept as written.
    order
        Of the files: indices of slices.
    """

    stored: Numbers
    hu: Numbers
    affine: NDArray[np.float64]
    scale: tuple[str, str]
    bits: int
    signed: bool
    padding: int | None
    syntax: UID
    order: tuple[int, ...]

    def datasets(self) -> list[Dataset]:
        """Return the slices in the order of their files."""
        return [self._slice(index) for index in self.order]

    def _slice(self, index: int) -> Dataset:
        ds = Dataset()
        ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality = CTImageStorage, f"{SERIES_UID}.{index + 1}", "CT"
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = STUDY_UID, SERIES_UID, FRAME_UID
        ds.ImageType, ds.PatientID = ["ORIGINAL", "PRIMARY", "AXIAL"], "PHANTOM"
        along_rows, along_columns = (self.affine[:3, axis] / np.linalg.norm(self.affine[:3, axis]) for axis in (1, 2))
        ds.ImageOrientationPatient = decimals(np.array([*along_columns, *along_rows]))
        ds.ImagePositionPatient = decimals((self.affine @ (index, 0, 0, 1))[:3])
        ds.PixelSpacing = decimals(np.linalg.norm(self.affine[:3, 1:3], axis=0))
        ds.RescaleSlope, ds.RescaleIntercept = self.scale
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, self.bits, self.bits - 1
        ds.PixelRepresentation = int(self.signed)
        ds.Rows, ds.Columns = self.stored.shape[1:]
        if self.padding is not None:
            ds.add(DataElement("PixelPaddingValue", "SS" if self.signed else "US", self.padding))
        self._put_pixels(ds, self.stored[index])
        return ds

    def _put_pixels(self, ds: Dataset, values: Numbers) -> None:
        bits = (values & ((1 << self.bits) - 1)).astype("<u2")
        ds.file_meta = FileMetaDataset()
        ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = (
            CTImageStorage,
            ds.SOPInstanceUID,
        )
        ds.file_meta.TransferSyntaxUID = self.syntax
        if self.syntax in NATIVE:
            big = self.syntax == ExplicitVRBigEndian
            ds.PixelData = bits.astype(">u2").tobytes() if big else bits.tobytes()
            ds["PixelData"].VR = "OW"
        elif self.syntax == RLELossless:
            ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            ds.PixelData = bits.tobytes()
            ds["PixelData"].VR = "OW"
            ds.compress(RLELossless, generate_instance_uid=False)
        else:
            ds.PixelData = encapsulate([self._frame(bits, values)])
            ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True

    def _frame(self, bits: NDArray[np.uint16], values: Numbers) -> bytes:
        if self.syntax == JPEGLosslessSV1:
            return bytes(imagecodecs.jpeg_encode(bits, lossless=True, bitspersample=16))
        if self.syntax == JPEGLSLossless:
            return bytes(imagecodecs.jpegls_encode(bits))
        if self.syntax == HTJ2KLossless:
            return bytes(imagecodecs.htj2k_encode(bits, reversible=True))
        numbers = values.astype(np.int16) if self.signed else bits
        return bytes(imagecodecs.jpeg2k_encode(numbers, level=0, reversible=True, codecformat="j2k"))


@st.composite
def legal_series(draw: st.DrawFn) -> LegalSeries:
    """Draw a series that any reader has to read rightly."""
    shape = (draw(st.integers(10, 14)), draw(st.integers(4, 24)), draw(st.integers(4, 24)))
    bits, signed = draw(st.sampled_from([(12, False), (16, False), (12, True), (16, True), (13, False)]))
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    dice = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    stored = dice.integers(low, high + 1, shape)
    slope = draw(st.sampled_from(["1", "1.0", "2", "0.5", "0.7", "2.0002442", "-1"]))
    intercept = draw(st.sampled_from(["-1024", "0", "-1024.5", "-8192", "24", "1000"]))
    padding = draw(st.none() | st.sampled_from([low, high, 0, int(stored[0, 0, 0])]))
    hu = np.clip(np.rint(stored * float(slope) + float(intercept)), FLOOR, CEILING).astype(np.int64)
    if padding is not None:
        hu[stored == padding] = FLOOR
    order = draw(st.permutations(range(shape[0])))
    syntax = draw(st.sampled_from(SYNTAXES))
    return LegalSeries(stored, hu, draw(_affines()), (slope, intercept), bits, signed, padding, syntax, tuple(order))


@st.composite
def _affines(draw: st.DrawFn) -> NDArray[np.float64]:
    """Draw where an axial stack lies: any turn in its plane, either handedness, any spacing and position."""
    slice_mm, row_mm, column_mm = (draw(st.floats(*ends)) for ends in ((0.5, 10), (0.3, 2), (0.3, 2)))
    turn = draw(st.sampled_from([0.0, 90.0, 180.0, 270.0]) | st.floats(0, 360))
    angle, mirrored = np.radians(turn), draw(st.sampled_from([1.0, -1.0]))
    affine = np.eye(4)
    affine[:3, 0] = (0, 0, slice_mm)
    affine[:3, 2] = column_mm * np.array([np.cos(angle), np.sin(angle), 0])
    affine[:3, 1] = mirrored * row_mm * np.array([-np.sin(angle), np.cos(angle), 0])
    affine[:3, 3] = [draw(st.floats(-500, 500)) for _ in range(3)]
    return affine
