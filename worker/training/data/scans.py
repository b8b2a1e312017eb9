"""The scans of a labelled data set as its file names them, in the layouts people have."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Side(StrEnum):
    """What a patient is used for."""

    train = "train"
    calibrate = "calibrate"
    test = "test"


class Kind(StrEnum):
    """What a reader marks."""

    ground_glass = "ground_glass"
    reticulation = "reticulation"
    consolidation = "consolidation"
    lung = "lung"


class Strict(BaseModel):
    """A record that takes nothing it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class MaskFiles(Strict):
    """A mask for each kind: whatever is not 0 is of that kind. Without ``lung`` the lungs are segmented."""

    ground_glass: Path
    reticulation: Path
    consolidation: Path | None = None
    lung: Path | None = None


class _Scan(Strict, ABC):
    patient: str = Field(min_length=1)
    side: Side | None = None
    reader: str | None = Field(default=None, min_length=1)

    @property
    @abstractmethod
    def image_path(self) -> Path:
        """Where the image lies, relative to the file."""

    @property
    @abstractmethod
    def drawn(self) -> Path | MaskFiles:
        """Where the masks lie."""

    @property
    def mask_files(self) -> Mapping[Kind | None, Path]:
        """The masks by what they hold; None is one that holds all kinds as values."""
        if isinstance(self.drawn, Path):
            return {None: self.drawn}
        return {kind: path for kind in Kind if (path := getattr(self.drawn, kind)) is not None}


class VolumeScan(_Scan):
    """An image in HU and its masks as NIfTI or NRRD, on one grid."""

    layout: Literal["volume"]
    image: Path
    mask: Path | MaskFiles

    @property
    def image_path(self) -> Path:
        return self.image

    @property
    def drawn(self) -> Path | MaskFiles:
        return self.mask


class DicomScan(_Scan):
    """A folder with one CT series, and the DICOM SEG, or one for each kind, that refers to it."""

    layout: Literal["dicom"]
    series: Path
    segmentation: Path | MaskFiles

    @property
    def image_path(self) -> Path:
        return self.series

    @property
    def drawn(self) -> Path | MaskFiles:
        return self.segmentation


class PngScan(_Scan):
    """A folder of PNG slices, sorted by name from feet to head, and folders of masks of the same names.

    Grey values from black to white stand for ``window_hu``; ``spacing_mm`` is (slices, rows, columns), None where
    nobody knows it. Rows run from front to back, columns from the patient's right to the left.
    """

    layout: Literal["png"]
    images: Path
    masks: Path | MaskFiles
    window_hu: tuple[float, float]
    spacing_mm: tuple[float, float, float] | None = None

    @property
    def image_path(self) -> Path:
        return self.images

    @property
    def drawn(self) -> Path | MaskFiles:
        return self.masks


Scan = Annotated[VolumeScan | DicomScan | PngScan, Field(discriminator="layout")]
