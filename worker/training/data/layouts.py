"""Scans of a labelled data set in the layouts people have: NIfTI or NRRD pairs, DICOM with SEG, PNG slices."""

from collections.abc import Callable, Collection, Iterator
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
from worker.training.data.dataset_file import DatasetFile, DicomScan, PngScan, Scan, VolumeScan
from worker.training.data.labelled import Labelled, from_masks
from worker.training.errors import DatasetRejected

# Where any of some label values stand, bool (slices, rows, columns).
Where = Callable[[Collection[int]], NDArray[np.bool_]]
GRID_TOLERANCE_MM = 0.01


def labelled(path: Path, patients: Collection[str]) -> Iterator[Labelled]:
    """Yield the scans of some patients of the data set that a YAML file describes, one at a time.

    Raises
    ------
    DatasetRejected
        ``scan_unreadable``: files are missing or damaged, or image and mask lie on different grids.
    """
    described = dataset_file.read(path)
    for scan in described.scans:
        if scan.patient in patients:
            yield _labelled(scan, described, path.parent)


def _labelled(scan: Scan, described: DatasetFile, folder: Path) -> Labelled:
    values = described.labels
    try:
        volume, where = _read(scan, folder)
        lung = where(values.lung) if values.lung else lungs.segment(volume).labels > 0
    except (OSError, RuntimeError, ValueError, InputRejected) as error:
        message = f"{described.name}, patient {scan.patient}: {error}"
        raise DatasetRejected(message, code="scan_unreadable", detail={"layout": scan.layout}) from error
    patterns = np.zeros(volume.hu.shape, np.uint8)
    patterns[where(values.ground_glass)] = GROUND_GLASS
    patterns[where(values.reticulation)] = RETICULATION
    patterns[where(values.consolidation)] = CONSOLIDATION
    return from_masks(f"{described.name}/{scan.patient}", volume, lung, patterns)


def _read(scan: Scan, folder: Path) -> tuple[CTVolume, Where]:
    match scan:
        case VolumeScan():
            return _of_volume(folder / scan.image, folder / scan.mask)
        case DicomScan():
            return _of_dicom(folder / scan.series, folder / scan.segmentation)
        case PngScan():
            return _of_png(scan, folder)
        case _ as never:
            assert_never(never)


def image_with_mask(image_path: Path, mask_path: Path | None) -> tuple[CTVolume, NDArray[np.bool_] | None]:
    """Return an image in HU and where its mask is not 0. Raises DatasetRejected (``scan_unreadable``)."""
    try:
        volume, where = _of_volume(image_path, mask_path or image_path)
    except (OSError, RuntimeError, ValueError) as error:
        raise DatasetRejected(f"{image_path.name}: {error}", code="scan_unreadable") from error
    return volume, None if mask_path is None else ~where((0,))


def _of_volume(image_path: Path, mask_path: Path) -> tuple[CTVolume, Where]:
    image, mask = (sitk.DICOMOrient(sitk.ReadImage(str(path)), "LPS") for path in (image_path, mask_path))
    frames = [np.array([*one.GetOrigin(), *one.GetSpacing(), *one.GetDirection()]) for one in (image, mask)]
    if image.GetSize() != mask.GetSize() or np.abs(frames[0] - frames[1]).max() > GRID_TOLERANCE_MM:
        raise ValueError(f"{image_path.name} and {mask_path.name} lie on different grids")
    # SimpleITK counts (x, y, z); ours is (slices, rows, columns).
    affine = np.eye(4)
    affine[:3, :3] = (np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing()))[:, ::-1]
    affine[:3, 3] = image.GetOrigin()
    return _volume(sitk.GetArrayFromImage(image), affine), _by_value(sitk.GetArrayFromImage(mask))


def _of_dicom(folder: Path, segmentation_path: Path) -> tuple[CTVolume, Where]:
    volume = series.read(sorted(path for path in folder.rglob("*") if path.is_file())).volume
    masks = segmentation.read(segmentation_path, volume)

    def where(numbers: Collection[int]) -> NDArray[np.bool_]:
        chosen = [mask for number, mask in masks.items() if number in numbers]
        return np.asarray(np.logical_or.reduce(chosen, initial=False) | np.zeros(volume.hu.shape, np.bool_))

    return volume, where


def _of_png(scan: PngScan, folder: Path) -> tuple[CTVolume, Where]:
    names = sorted(path.name for path in (folder / scan.images).glob("*.png"))
    if not names:
        raise ValueError(f"{scan.images} holds no PNG files")
    grey, mask = (
        np.stack([np.asarray(Image.open(folder / kind / name)) for name in names]) for kind in (scan.images, scan.masks)
    )
    if grey.shape != mask.shape:
        raise ValueError(f"images are {grey.shape}, masks {mask.shape}: both must be grey pictures of one size")
    low, high = scan.window_hu
    # Whatever the type, its largest value is white.
    hu = low + (high - low) * grey / float(np.iinfo(grey.dtype).max)
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = (*scan.spacing_mm, 1.0)
    return _volume(hu, affine), _by_value(mask)


def _volume(hu: NDArray[np.generic], affine: NDArray[np.float64]) -> CTVolume:
    clipped = np.clip(np.round(hu.astype(np.float32)), HU_FLOOR, HU_CEILING).astype(np.int16)
    return CTVolume(clipped, affine, tuple(str(index) for index in range(len(clipped))), "")


def _by_value(mask: NDArray[np.generic]) -> Where:
    return lambda values: np.asarray(np.isin(mask, list(values)))
