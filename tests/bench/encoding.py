"""Encoding the masks of a series as a SEG file, beside highdicom from stacked and from exclusive labels.

Each encoder runs in a process of its own, so that its peak of memory is its own. As a program, one such process:
``python -m tests.bench.encoding ENCODER FOLDER SLICES ROUNDS`` prints its figures as JSON.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from tests.bench.figures import Row, machine, markdown, own_peak_mb, shown
from worker.analysis.records import LungMask, PatternMap
from worker.reading.volume import CTVolume
from worker.results import files, seg, segments
from worker.results.profile import Profile, SegForm
from worker.results.segments import ALL
from worker.results.source import Maker, ResultSource

COUNTS = (60, 300, 1200)
STEP_MM = 1.0
MASKS = "masks.npz"
MAKER = Maker("0", "bench", "0", "0" * 64, "A benchmark.")
Encoder = Callable[[ResultSource, LungMask, PatternMap], list[Dataset]]


@dataclass(frozen=True)
class Figures:
    """Medians of making and writing SEGs, and the first time, which loads tables; peak of memory before and after.

    Processor seconds tell the cost on a machine that is busy with other work.
    """

    seconds: float
    cpu_s: float
    first_cpu_s: float
    before_mb: float
    peak_mb: float
    file_mb: float


def ours(source: ResultSource, lungs: LungMask, patterns: PatternMap) -> list[Dataset]:
    """Encode as a worker does, all in one."""
    return [seg.encode(source, ALL, lungs, patterns)]


def labels(source: ResultSource, lungs: LungMask, patterns: PatternMap, *, deflated: bool = False) -> list[Dataset]:
    """Encode as a worker does for a destination that wants labels, disease and lungs apart."""
    parts = Profile(SegForm.LABELMAP, deflated=deflated).parts
    return [seg.encode(source, segments.of(part), lungs, patterns) for part in parts]


def stacked(source: ResultSource, lungs: LungMask, patterns: PatternMap) -> list[Dataset]:
    """Encode the same by highdicom, which takes segments that overlap as an array of all."""
    masks = [*(patterns.labels == value for value in (1, 2, 3)), lungs.labels == 2, lungs.labels == 1]
    return _by_highdicom(source, np.stack(masks, axis=-1).astype(np.uint8))


def exclusive(source: ResultSource, lungs: LungMask, patterns: PatternMap) -> list[Dataset]:
    """Encode by highdicom from one label for each voxel: another object, in which lesions are holes in the lungs."""
    lung = np.array([0, 5, 4], np.uint8)[lungs.labels]
    return _by_highdicom(source, np.where(patterns.labels > 0, patterns.labels, lung))


ENCODERS: dict[str, Encoder] = {
    "ours": ours,
    "ours, labels": labels,
    "ours, labels, deflated": partial(labels, deflated=True),
    "highdicom, stacked": stacked,
    "highdicom, exclusive": exclusive,
}


def _by_highdicom(source: ResultSource, pixels: NDArray[np.uint8]) -> list[Dataset]:
    asked: dict[str, Any] = seg.attributes(source, ALL)
    return [hd.seg.Segmentation(pixel_array=pixels, **asked)]


def measured(encoder: str, folder: Path, count: int, rounds: int) -> Figures:
    """Run one encoder in a process of its own, on ``count`` slices of a folder that :func:`prepare` filled."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.bench.encoding", encoder, str(folder), str(count)]
    done = subprocess.run([*command, str(rounds)], check=True, capture_output=True, text=True)
    return Figures(**json.loads(done.stdout))


def prepare(folder: Path, slices: Path, lungs: LungMask, patterns: PatternMap) -> Path:
    """Keep in ``folder`` what encoders need of a series: headers and masks."""
    folder.mkdir()
    for path in slices.iterdir():
        dcmread(path, stop_before_pixels=True).save_as(folder / path.name)
    np.savez(folder / MASKS, lungs=lungs.labels, patterns=patterns.labels)
    return folder


HEAD = """# Encoding

Written by `make bench PART=encoding`. From masks of 512 × 512 to SEG files, five segments, each encoder in a fresh
process that has masks and headers in memory. `stacked` is what highdicom wants for segments that overlap, an array of
all of them; a test holds that `ours` has the same bytes. `exclusive` is one label for each voxel, another object, in
which lesions are holes in the lungs. `labels` are the two LABELMAP objects of `seg = "labelmap"`. `the first` loads
tables and is what a process pays once. Where the load average shows other work, processor seconds count and the times
a clock shows do not.

"""


def write_page(folder: Path, rows: list[Row]) -> None:
    """Write ``encoding.md`` into a folder."""
    facts = ", ".join(f"{name} {shown(value)}" for name, value in machine().items())
    (folder / "encoding.md").write_text(f"{HEAD}{facts}.\n\n{markdown(rows)}\n")


def _series(folder: Path, count: int) -> tuple[ResultSource, LungMask, PatternMap]:
    """Return ``count`` slices, those of the folder over and over, one above the other."""
    paths = sorted(folder.glob("*.dcm"))
    headers = []
    for number in range(count):
        header = dcmread(paths[number % len(paths)])
        header.SOPInstanceUID = f"2.25.{number + 1}"
        header.ImagePositionPatient = [*header.ImagePositionPatient[:2], number * STEP_MM]
        headers.append(header)
    with np.load(folder / MASKS) as kept:
        lungs, patterns = (kept[name][np.arange(count) % len(paths)] for name in ("lungs", "patterns"))
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, :3] = [[0, 0, 1], [0, 1, 0], [STEP_MM, 0, 0]]
    uids = tuple(str(header.SOPInstanceUID) for header in headers)
    # Encoders look at no Hounsfield units.
    volume = CTVolume(np.broadcast_to(np.int16(0), lungs.shape), affine, uids, headers[0].FrameOfReferenceUID)
    source = ResultSource(volume, tuple(headers), "0" * 64, datetime(2026, 1, 1, tzinfo=UTC), MAKER)
    return source, LungMask(lungs), PatternMap(patterns)


def main() -> None:
    """Measure one encoder on one folder."""
    encoder, folder, count = ENCODERS[sys.argv[1]], Path(sys.argv[2]), int(sys.argv[3])
    given = _series(folder, count)
    before_mb = own_peak_mb()
    times = []
    with tempfile.TemporaryDirectory() as name:
        for _ in range(1 + int(sys.argv[4])):
            started = time.perf_counter(), time.process_time()
            made = encoder(*given)
            written = [files.write_object(Path(name), f"seg{number}", one).path for number, one in enumerate(made)]
            del made
            times.append((time.perf_counter() - started[0], time.process_time() - started[1]))
            if len(times) == 1:
                peak_mb = own_peak_mb()
        file_mb = sum(path.stat().st_size for path in written) / 1e6
    seconds, cpu_s = (statistics.median(kind) for kind in zip(*times[1:], strict=True))
    json.dump(asdict(Figures(seconds, cpu_s, times[0][1], before_mb, peak_mb, file_mb)), sys.stdout)


if __name__ == "__main__":
    main()
