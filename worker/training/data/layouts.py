"""Scans of a labelled data set in the layouts people have: NIfTI or NRRD, DICOM with SEG, PNG slices."""

from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import assert_never

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from PIL import Image

from worker.analysis import lungs
from worker.analysis.records import CONSOLIDATION, GROUND_GLASS, RETICULATION
from worker.errors import InputRejected
from worker.phantom.chest_ct import HU_CEILING
from worker.reading import segmentation, series
from worker.reading.volume import HU_FLOOR, CTVolume
from worker.training.data import dataset_file
from worker.training.data.dataset_file import DatasetFile
from worker.training.data.labelled import Labelled, from_masks
from worker.training.data.marks import LabelImage, Layer, Marks, Segments
from worker.training.data.scans import DicomScan, Kind, PngScan, Scan, VolumeScan
from worker.training.errors import DatasetRejected

GRID_TOLERANCE_MM = 0.01
# Slices of unknown spacing: a usual field of view, and neighbours as far apart as in high-resolution CT with gaps.
FIELD_OF_VIEW_MM, APART_MM = 350.0, 10.0
LABELS = {
    Kind.ground_glass: GROUND_GLASS,
    Kind.reticulation: RETICULATION,
    Kind.consolidation: CONSOLIDATION,
}
UNREADABLE = (OSError, RuntimeError, ValueError, InputRejected)
MaskReader = Callable[[Path], Layer]


def labelled(path: Path, patients: Collection[str], every_reader: bool = False) -> Iterator[Labelled]:
    """Yield the scans of some patients of the data set that a YAML file describes, one at a time.

    An image with masks of several readers comes once, as the first of them drew it, or with ``every_reader`` once for
    each.

    Raises
    ------
    DatasetRejected
        ``scan_unreadable``: files are missing or damaged, or image and mask lie on different grids.
    """
    described = dataset_file.read(path)
    for scan in described.scans if every_reader else described.first_read:
        if scan.patient in patients:
            yield one(scan, described, path.parent)


def one(scan: Scan, described: DatasetFile, folder: Path) -> Labelled:
    """Return one scan with lungs and patterns. Raises DatasetRejected (``scan_unreadable``)."""
    volume, marks = read(scan, described, folder)
    try:
        lung = marks.where(Kind.lung) if marks.holds(Kind.lung) else lungs.segment(volume).labels > 0
    except InputRejected as error:
        raise _unreadable(scan, described, error) from error
    patterns = np.zeros(volume.hu.shape, np.uint8)
    for kind, label in LABELS.items():
        patterns[marks.where(kind)] = label
    reader = f" ({scan.reader})" if scan.reader else ""
    return from_masks(f"{described.name}/{scan.patient}{reader}", volume, lung, patterns)


def read(scan: Scan, described: DatasetFile, folder: Path) -> tuple[CTVolume, Marks]:
    """Return image and masks of a scan as they lie on the disk. Raises DatasetRejected (``scan_unreadable``)."""
    try:
        volume, mask_of = _image(scan, folder)
        layers = {kind: mask_of(folder / path) for kind, path in scan.mask_files.items()}
    except UNREADABLE as error:
        raise _unreadable(scan, described, error) from error
    return volume, Marks(layers, described.labels)


def _unreadable(scan: Scan, described: DatasetFile, error: Exception) -> DatasetRejected:
    message = f"{described.name}, patient {scan.patient}: {error}"
    return DatasetRejected(message, code="scan_unreadable", detail={"layout": scan.layout, "patients": [scan.patient]})


def _image(scan: Scan, folder: Path) -> tuple[CTVolume, MaskReader]:
    match scan:
        case VolumeScan():
            return _of_volume(folder / scan.image)
        case DicomScan():
            return _of_dicom(folder / scan.series)
        case PngScan():
            return _of_png(scan, folder / scan.images)
        case _ as never:
            assert_never(never)


def image_with_mask(image_path: Path, mask_path: Path | None) -> tuple[CTVolume, NDArray[np.bool_] | None]:
    """Return an image in HU and where its mask is not 0. Raises DatasetRejected (``scan_unreadable``)."""
    try:
        volume, mask_of = _of_volume(image_path)
        return volume, None if mask_path is None else mask_of(mask_path).where(None)
    except (OSError, RuntimeError, ValueError) as error:
        raise DatasetRejected(f"{image_path.name}: {error}", code="scan_unreadable") from error


def _of_volume(image_path: Path) -> tuple[CTVolume, MaskReader]:
    image = _oriented(image_path)
    # SimpleITK counts (x, y, z); ours is (slices, rows, columns).
    affine = np.eye(4)
    affine[:3, :3] = (np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing()))[:, ::-1]
    affine[:3, 3] = image.GetOrigin()
    return _volume(sitk.GetArrayFromImage(image), affine), partial(_on_grid, image, image_path.name)


def _on_grid(image: sitk.Image, name: str, mask_path: Path) -> Layer:
    mask = _oriented(mask_path)
    frames = [np.array([*one.GetOrigin(), *one.GetSpacing(), *one.GetDirection()]) for one in (image, mask)]
    if image.GetSize() != mask.GetSize() or np.abs(frames[0] - frames[1]).max() > GRID_TOLERANCE_MM:
        raise ValueError(f"{name} and {mask_path.name} lie on different grids")
    return LabelImage(sitk.GetArrayFromImage(mask))


def _oriented(path: Path) -> sitk.Image:
    if not path.exists():
        raise FileNotFoundError(f"{path.name} does not exist")
    image: sitk.Image = sitk.DICOMOrient(sitk.ReadImage(str(path)), "LPS")
    return image


def _of_dicom(folder: Path) -> tuple[CTVolume, MaskReader]:
    volume = series.read(sorted(path for path in folder.rglob("*") if path.is_file())).volume
    return volume, lambda path: Segments(segmentation.read(path, volume), volume.hu.shape)


def _of_png(scan: PngScan, folder: Path) -> tuple[CTVolume, MaskReader]:
    names = sorted(path.name for path in folder.glob("*.png"))
    if not names:
        raise ValueError(f"{scan.images} holds no PNG files")
    grey = _stacked(folder, names)
    low, high = scan.window_hu
    # Whatever the type, its largest value is white.
    hu = low + (high - low) * grey / float(np.iinfo(grey.dtype).max)
    affine = np.zeros((4, 4))
    spacing_mm = scan.spacing_mm or assumed_spacing_mm(grey.shape[2])
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = (*spacing_mm, 1.0)
    return _volume(hu, affine), lambda path: LabelImage(_stacked(path, names, grey.shape))


def assumed_spacing_mm(columns: int) -> tuple[float, float, float]:
    """Return (slices, rows, columns) for slices whose spacing nobody knows."""
    return APART_MM, FIELD_OF_VIEW_MM / columns, FIELD_OF_VIEW_MM / columns


def _stacked(folder: Path, names: list[str], shape: tuple[int, ...] | None = None) -> NDArray[np.integer]:
    stack = np.stack([np.asarray(Image.open(folder / name)) for name in names])
    if stack.ndim != 3 or (shape and stack.shape != shape):
        raise ValueError(f"images are {shape}, masks {stack.shape}: both must be grey pictures of one size")
    return stack


def _volume(hu: NDArray[np.generic], affine: NDArray[np.float64]) -> CTVolume:
    clipped = np.clip(np.round(hu.astype(np.float32)), HU_FLOOR, HU_CEILING).astype(np.int16)
    return CTVolume(clipped, affine, tuple(str(index) for index in range(len(clipped))), "")
