"""Reading slices to Hounsfield units, beside SimpleITK's series reader and plain pydicom.

Each reader runs in a process of its own, so that its peak of memory is its own. As a program, one such process:
``python -m tests.bench.reading READER FOLDER ROUNDS`` prints its figures as JSON.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import UID, HTJ2KLossless, JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from tests.bench.figures import Row, machine, markdown, own_peak_mb, shown

Reader = Callable[[Sequence[Path]], Any]
Values = NDArray[np.uint16]


@dataclass(frozen=True)
class Figures:
    """Medians of one reading, and the peak of memory of a process that reads once, in MB.

    Processor seconds tell the cost on a machine that is busy with other work.
    """

    seconds: float
    cpu_s: float
    peak_mb: float


def ours(paths: Sequence[Path]) -> Any:
    """Read through the gate."""
    from worker.reading import series  # noqa: PLC0415

    return series.read(paths).volume


def simpleitk(paths: Sequence[Path]) -> Any:
    """Read as SimpleITK does, in the order given: it checks nothing."""
    import SimpleITK as sitk  # noqa: PLC0415

    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(path) for path in paths])
    return reader.Execute()


def pydicom(paths: Sequence[Path]) -> Any:
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


ENCODERS: dict[str, tuple[UID, Callable[[Values], bytes | bytearray]]] = {
    "JPEG Lossless": (JPEGLosslessSV1, lambda v: imagecodecs.jpeg_encode(v, lossless=True, bitspersample=16)),
    "JPEG-LS": (JPEGLSLossless, imagecodecs.jpegls_encode),
    "JPEG 2000": (
        JPEG2000Lossless,
        lambda v: imagecodecs.jpeg2k_encode(v, level=0, reversible=True, codecformat="j2k"),
    ),
    "HTJ2K": (HTJ2KLossless, lambda v: imagecodecs.htj2k_encode(v, reversible=True)),
}
ENCODINGS = ("uncompressed", *ENCODERS, "RLE")


def _compressed(ds: Dataset, encoding: str) -> None:
    if encoding == "RLE":
        ds.compress(RLELossless, generate_instance_uid=False)
        return
    syntax, encode = ENCODERS[encoding]
    ds.PixelData = encapsulate([bytes(encode(ds.pixel_array))])
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = syntax


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


HEAD = """# Reading

Written by `make bench PART=reading`. From files of 512 × 512 to Hounsfield units: slices of a phantom, 12 bits, the
same ones over and over, uncompressed and losslessly compressed. `ours` checks the series and that every frame is
whole, and decodes on all cores; SimpleITK's series reader and pydicom with the first plugin that it finds (GDCM; for
HTJ2K pylibjpeg) check nothing and use one. Each reader runs in a process of its own. Where the load average shows
other work, processor seconds count and the times a clock shows do not. What bounds them stands in
[decision 85](../decisions/0085-what-bounds-reading-compressed-ct.md).

"""


def write_page(folder: Path, rows: Sequence[Row]) -> None:
    """Write ``reading.md`` into a folder."""
    facts = ", ".join(f"{name} {shown(value)}" for name, value in machine().items())
    (folder / "reading.md").write_text(f"{HEAD}{facts}.\n\n{markdown(rows)}\n")


def main() -> None:
    """Measure one reader on one folder."""
    reader, paths = READERS[sys.argv[1]], sorted(Path(sys.argv[2]).iterdir())
    reader(paths)
    peak_mb = own_peak_mb()
    times = []
    for _ in range(int(sys.argv[3])):
        started = time.perf_counter(), time.process_time()
        reader(paths)
        times.append((time.perf_counter() - started[0], time.process_time() - started[1]))
    seconds, cpu_s = (statistics.median(kind) for kind in zip(*times, strict=True))
    json.dump(asdict(Figures(seconds, cpu_s, peak_mb)), sys.stdout)


if __name__ == "__main__":
    main()
