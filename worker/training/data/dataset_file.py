"""The YAML file that describes labelled data: what it holds, where, and what its labels mean."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from worker.training.errors import DatasetRejected


class Side(StrEnum):
    """What a patient is used for."""

    train = "train"
    calibrate = "calibrate"
    test = "test"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LabelValues(_Strict):
    """Which values of a mask, or segment numbers of a SEG, mean what; without ``lung`` the lungs are segmented."""

    ground_glass: tuple[int, ...]
    reticulation: tuple[int, ...]
    consolidation: tuple[int, ...] = ()
    lung: tuple[int, ...] = ()


class _Scan(_Strict):
    patient: str = Field(min_length=1)
    side: Side | None = None


class VolumeScan(_Scan):
    """An image in HU and its mask as NIfTI or NRRD, on one grid."""

    layout: Literal["volume"]
    image: Path
    mask: Path


class DicomScan(_Scan):
    """A folder with one CT series, and the DICOM SEG that refers to it."""

    layout: Literal["dicom"]
    series: Path
    segmentation: Path


class PngScan(_Scan):
    """A folder of PNG slices, sorted by name from feet to head, and a folder of masks of the same names.

    Grey values from black to white stand for ``window_hu``; ``spacing_mm`` is (slices, rows, columns). Rows run from
    front to back,
    columns from the patient's right to the left.
    """

    layout: Literal["png"]
    images: Path
    masks: Path
    window_hu: tuple[float, float]
    spacing_mm: tuple[float, float, float]


Scan = Annotated[VolumeScan | DicomScan | PngScan, Field(discriminator="layout")]


class DatasetFile(_Strict):
    """A data set: its name, what the labels mean, and its scans. Paths are relative to the file."""

    name: str = Field(min_length=1)
    labels: LabelValues
    scans: tuple[Scan, ...] = Field(min_length=1)

    @property
    def patients(self) -> tuple[str, ...]:
        """Every patient once, in the order of the file."""
        return tuple(dict.fromkeys(scan.patient for scan in self.scans))


def read(path: Path) -> DatasetFile:
    """Read and check a data set's YAML file. Raises DatasetRejected (``dataset_unreadable``)."""
    try:
        return DatasetFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise DatasetRejected(f"{path.name} cannot be used: {error}", code="dataset_unreadable") from error
