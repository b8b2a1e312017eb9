"""Reading slices to Hounsfield units, beside SimpleITK's series reader and plain pydicom.

Each reader runs in a process of its own, so that its peak of memory is its own. As a program, one such process:
``python -m tests.bench.reading READER FOLDER ROUNDS`` prints seconds and megabytes as JSON.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, RLELossless

from tests.bench.figures import own_peak_mb

Reader = Callable[[Sequence[Path]], object]


@dataclass(frozen=True)
class Figures:
    """Median seconds of one reading, and the peak of memory of a process that reads once, in MB."""

    seconds: float
    peak_mb: float


def ours(paths: Sequence[Path]) -> object:
    """Read through the gate."""
    from worker.reading import series  # noqa: PLC0415

    return series.read(paths).volume


def simpleitk(paths: Sequence[Path]) -> object:
    """Read as SimpleITK does, in the order given: it checks nothing."""
    import SimpleITK as sitk  # noqa: PLC0415

    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(path) for path in paths])
    return reader.Execute()


def pydicom(paths: Sequence[Path]) -> object:
    """Read as a script would: sort, stack, rescale."""
    slices = sorted((dcmread(path) for path in paths), key=lambda ds: float(ds.ImagePositionPatient[2]))
    hu = np.empty((len(slices), slices[0].Rows, slices[0].Columns), np.int16)
    for target, ds in zip(hu, slices, strict=True):
        target[...] = ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
    return hu


READERS: dict[str, Reader] = {"ours": ours, "simpleitk": simpleitk, "pydicom": pydicom}


def measured(reader: str, folder: Path, rounds: int) -> Figures:
    """Run one reader in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.reading", reader, str(folder), str(rounds)]
    return Figures(**json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def _compressed(ds: Dataset, encoding: str) -> None:
    stored: NDArray[np.uint16] = ds.pixel_array
    if encoding == "JPEG Lossless":
        frame, syntax = imagecodecs.jpeg_encode(stored, lossless=True, bitspersample=16), JPEGLosslessSV1
    elif encoding == "JPEG 2000":
        frame = imagecodecs.jpeg2k_encode(stored, level=0, reversible=True, codecformat="j2k")
        syntax = JPEG2000Lossless
    else:
        ds.compress(RLELossless, generate_instance_uid=False)
        return
    ds.PixelData = encapsulate([frame])
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = syntax


ENCODINGS = ("uncompressed", "JPEG Lossless", "JPEG 2000", "RLE")


def write(slices: Sequence[Path], folder: Path, encoding: str, count: int) -> Path:
    """Write ``count`` slices, those given over and over, one above the other."""
    folder.mkdir(parents=True)
    encoded: dict[Path, Dataset] = {}
    for number in range(count):
        source = slices[number % len(slices)]
        if source not in encoded:
            encoded[source] = dcmread(source)
            if encoding != "uncompressed":
                _compressed(encoded[source], encoding)
        ds = encoded[source]
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"2.25.{number + 1}"
        ds.ImagePositionPatient = [*ds.ImagePositionPatient[:2], number * 1.25]
        ds.save_as(folder / f"{number:04d}.dcm", enforce_file_format=True)
    return folder


def main() -> None:
    """Measure one reader on one folder."""
    reader, paths = READERS[sys.argv[1]], sorted(Path(sys.argv[2]).iterdir())
    reader(paths)
    peak_mb = own_peak_mb()
    times = []
    for _ in range(int(sys.argv[3])):
        started = time.perf_counter()
        reader(paths)
        times.append(time.perf_counter() - started)
    json.dump({"seconds": statistics.median(times), "peak_mb": peak_mb}, sys.stdout)


if __name__ == "__main__":
    main()
