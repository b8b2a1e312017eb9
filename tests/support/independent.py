"""What others read in our objects: dciodvfy of dicom3tools, dcmqi, SimpleITK."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import SimpleITK as sitk

from tests.support import services


def validator_errors(path: Path) -> list[str]:
    """Return what dciodvfy calls an error."""
    found = subprocess.run([services.program("dciodvfy"), str(path)], capture_output=True, text=True, check=False)
    return [line for line in (found.stdout + found.stderr).splitlines() if line.startswith("Error")]


def dcmqi(name: str) -> str:
    """Return the path of a program of the dcmqi package."""
    return str(Path(sys.executable).with_name(name))


def segments(seg: Path, folder: Path) -> dict[str, sitk.Image]:
    """Return each segment as dcmqi reads it, by its label."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [dcmqi("segimage2itkimage"), "--inputDICOM", str(seg), "--outputDirectory", str(folder)]
    subprocess.run([*command, "--outputType", "nrrd"], check=True, capture_output=True)
    meta = json.loads((folder / "meta.json").read_text())
    labels = [attributes["SegmentLabel"] for group in meta["segmentAttributes"] for attributes in group]
    return {label: sitk.ReadImage(str(folder / f"{number}.nrrd")) for number, label in enumerate(labels, start=1)}


def report(sr: Path, folder: Path) -> dict[str, dict[str, float]]:
    """Return the volumes, extents and mean attenuations that dcmqi reads in an SR, by tracking identifier."""
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / "sr.json"
    command = [dcmqi("tid1500reader"), "--inputDICOM", str(sr), "--outputMetadata", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    return {
        group["TrackingIdentifier"]: _numbers(group["measurementItems"])
        for group in json.loads(out.read_text())["Measurements"]
    }


def _numbers(items: list[dict[str, Any]]) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for item in items:
        name = item["quantity"]["CodeMeaning"]
        derivation = item.get("derivationModifier", {}).get("CodeMeaning")
        numbers[f"{name}, {derivation}" if derivation else name] = float(item["value"])
    return numbers


def numbers(sr: Path) -> dict[tuple[str, str, str], tuple[str, str]]:
    """Return every number of an SR as DCMTK reads it: value and unit by tracking identifier, concept and derivation."""
    printed = subprocess.run([services.program("dsr2xml"), str(sr)], capture_output=True, text=True, check=True)
    told: dict[tuple[str, str, str], tuple[str, str]] = {}
    # Not of a stranger: it is what DCMTK writes of our own report.
    for group in ElementTree.fromstring(printed.stdout).iter("container"):  # noqa: S314
        name = next((text.findtext("value") for text in group.findall("text") if _concept(text) == "112039"), None)
        for number in group.findall("num"):
            derivation = next(
                (code.findtext("value") for code in number.findall("code") if _concept(code) == "121401"), ""
            )
            key = (str(name), str(_concept(number)), str(derivation))
            assert key not in told
            told[key] = (str(number.findtext("value")), str(number.findtext("unit/value")))
    return told


def _concept(item: ElementTree.Element) -> str | None:
    return item.findtext("concept/value")


def mean_hu(ct_folder: Path, segment: sitk.Image) -> float:
    """Return the mean HU of the CT, as SimpleITK reads it, inside a segment, as dcmqi read it.

    The segment is brought to the CT by its own geometry: a flipped or shifted mask meets other voxels.
    """
    reader = sitk.ImageSeriesReader()
    (series,) = reader.GetGDCMSeriesIDs(str(ct_folder))
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(ct_folder), series))
    ct = reader.Execute()
    mask = sitk.Resample(segment, ct, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    hu = np.clip(sitk.GetArrayFromImage(ct).astype(np.int32), -1024, None)
    return float(hu[sitk.GetArrayFromImage(mask) > 0].mean())


def dump(sr: Path) -> str:
    """Return an SR as DCMTK's dsrdump reads it."""
    found = subprocess.run([services.program("dsrdump"), str(sr)], capture_output=True, text=True, check=True)
    return found.stdout
