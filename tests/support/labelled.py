"""Tiny labelled data for tests of training: plans, and a made-up data set in every layout."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import yaml
from PIL import Image

from worker.phantom.chest_ct import PhantomSpec, render
from worker.phantom.dicom_series import PhantomIdentity, write_series
from worker.reading import series
from worker.results import seg, segments
from worker.results.source import Maker, ResultSource
from worker.training.data.cases import CasePlan
from worker.training.data.crops import CropPlan
from worker.training.data.labelled import Labelled, from_phantom
from worker.training.fit.plan import TrainingPlan

TINY = CasePlan(slices=(12, 14), side=48)
CROP = CropPlan(side=32)
LAYOUTS = ("nifti", "nrrd", "dicom", "png")
# In the masks written here, and as segment numbers of our own SEG.
VALUES = {"ground_glass": [3], "reticulation": [4], "consolidation": [5], "lung": [1, 2]}
# The numbers of the segments of an SEG of ours that holds both.
VALUES_OF_SEG = {"ground_glass": [1], "reticulation": [2], "consolidation": [3], "lung": [4, 5]}
WINDOW_HU = (-1100.0, 300.0)


def tiny_plan(folder: Path) -> TrainingPlan:
    """Return a plan that trains in a second."""
    return TrainingPlan(
        out=folder / "models" / "tiny-v1.safetensors",
        cache=folder / "cache",
        cases=2,
        steps=2,
        batch=2,
        held_out=2,
        processes=1,
        device="cpu",
        step_mm=8.0,
        case=TINY,
        crop=CROP,
    )


# The first patient has all three patterns.
FIRST_SEED = 2


def patient(number: int) -> PhantomSpec:
    """Return a small phantom that is thick enough in the plane for the lung segmentation."""
    return PhantomSpec(seed=FIRST_SEED + number, shape=(16, 64, 64), spacing_mm=(17.0, 5.8, 5.8), extent_pct=20.0)


def write_dataset(folder: Path, layout: str, patients: int = 3) -> Path:
    """Write a data set of phantoms in one layout and return its YAML file."""
    writers = {"nifti": _volume, "nrrd": _volume, "dicom": _dicom, "png": _png}
    scans = []
    for seed in range(patients):
        phantom = render(patient(seed))
        own = folder / f"P{seed}"
        own.mkdir(parents=True)
        if layout == "dicom":
            write_series(phantom, own / "ct", PhantomIdentity())
        scans.append({"patient": f"P{seed}", **writers[layout](own, from_phantom(phantom), layout)})
    path = folder / "dataset.yaml"
    labels = VALUES_OF_SEG if layout == "dicom" else VALUES
    content = {"name": f"made up, {layout}", "labels": labels, "scans": scans}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def _mask(labelled: Labelled) -> np.ndarray:
    values = labelled.lungs.labels.copy()
    patterns = labelled.patterns.labels
    values[patterns > 0] = 2 + patterns[patterns > 0]
    return values


def _volume(folder: Path, labelled: Labelled, layout: str) -> dict[str, Any]:
    suffix = {"nifti": "nii.gz", "nrrd": "nrrd"}[layout]
    affine = labelled.volume.affine
    for name, array in (("image", labelled.volume.hu), ("mask", _mask(labelled))):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(labelled.volume.spacing_mm[::-1])
        image.SetOrigin(affine[:3, 3])
        sitk.WriteImage(image, str(folder / f"{name}.{suffix}"))
    return {"layout": "volume", "image": f"{folder.name}/image.{suffix}", "mask": f"{folder.name}/mask.{suffix}"}


def _dicom(folder: Path, labelled: Labelled, layout: str) -> dict[str, Any]:
    source = series.read(sorted((folder / "ct").iterdir()))
    made = ResultSource(
        source.volume, source.headers, "k" * 64, datetime(2026, 1, 1, tzinfo=UTC), Maker("0", "m 1", "1", "ab", "")
    )
    seg.encode(made, segments.ALL, labelled.lungs, labelled.patterns).save_as(
        folder / "seg.dcm", enforce_file_format=True
    )
    return {"layout": "dicom", "series": f"{folder.name}/ct", "segmentation": f"{folder.name}/seg.dcm"}


def _png(folder: Path, labelled: Labelled, layout: str) -> dict[str, Any]:
    low, high = WINDOW_HU
    grey = np.clip((labelled.volume.hu - low) / (high - low) * 255, 0, 255).round().astype(np.uint8)
    for name, array in (("images", grey), ("masks", _mask(labelled))):
        (folder / name).mkdir()
        for index, plane in enumerate(array):
            Image.fromarray(plane).save(folder / name / f"{index:03d}.png")
    return {
        "layout": "png",
        "images": f"{folder.name}/images",
        "masks": f"{folder.name}/masks",
        "window_hu": list(WINDOW_HU),
        "spacing_mm": list(labelled.volume.spacing_mm),
    }
