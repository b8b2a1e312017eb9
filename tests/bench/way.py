"""The way of one series from complete to stored in an archive, stage by stage, in a process of its own.

As a program, one such process: ``python -m tests.bench.way FOLDER FIRST DESTINATION`` loads the model as a worker does
when it starts, takes the series FIRST through without counting, then FOLDER, and prints its figures as JSON.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from tests.bench.figures import Row, own_peak_mb
from tests.support import services
from worker.phantom.chest_ct import Phantom, PhantomSpec, render, uid_of
from worker.phantom.dicom_series import PhantomIdentity, write_series
from worker.reading.volume import CTVolume

COUNTS = (60, 133, 300, 600, 1500)
DRAWN = PhantomSpec(seed=1, shape=(75, 512, 512), spacing_mm=(4.0, 0.7, 0.7))
REAL = ("lidc-0001/dicom", "nsclc-r01-001/dicom")
STAGES = ("read", "lungs", "patterns", "quantify", "encode", "deliver")


@dataclass
class Figures:
    """Seconds and processor seconds by stage, ``load`` among them, and the peak of memory of the process."""

    seconds: dict[str, float] = field(default_factory=dict)
    cpu_s: dict[str, float] = field(default_factory=dict)
    peak_mb: float = 0.0


class Clock:
    """Notes what each stage took, from its beginning to that of the next."""

    def __init__(self) -> None:
        self.figures = Figures()
        self._stage: tuple[str, float, float] | None = None

    def enter(self, name: str) -> None:
        """Begin a stage and end the one before; an empty name ends alone."""
        now, cpu = time.perf_counter(), time.process_time()
        if self._stage is not None:
            before, since, cpu_since = self._stage
            self.figures.seconds[before], self.figures.cpu_s[before] = now - since, cpu - cpu_since
        self._stage = (name, now, cpu) if name else None


def stretched(phantom: Phantom, count: int) -> Phantom:
    """Return the same chest in ``count`` slices, interpolated: to draw it anew would take minutes."""
    spec, volume = phantom.spec, phantom.volume
    step_mm = spec.spacing_mm[0] * spec.shape[0] / count
    finer = replace(spec, shape=(count, *spec.shape[1:]), spacing_mm=(step_mm, *spec.spacing_mm[1:]))
    hu = np.empty(finer.shape, np.int16)
    for target, at in zip(hu, np.linspace(0, spec.shape[0] - 1, count), strict=True):
        low, share = int(at), at - int(at)
        target[...] = np.round(volume.hu[low] * (1 - share) + volume.hu[min(low + 1, spec.shape[0] - 1)] * share)
    affine = volume.affine.copy()
    affine[2, 0] = step_mm
    uids = tuple(uid_of(finer, f"slice {index + 1}") for index in range(count))
    return replace(phantom, spec=finer, volume=CTVolume(hu, affine, uids, volume.frame_of_reference_uid, step_mm))


def write_all(home: Path, counts: tuple[int, ...], data: Path) -> dict[str, Path]:
    """Write the phantoms below ``home`` and return all series, real ones where they are at hand, by name."""
    drawn = render(DRAWN)
    found = {}
    for count in counts:
        found[f"phantom of {count}"] = folder = home / str(count)
        write_series(stretched(drawn, count), folder, PhantomIdentity())
    return found | {name.partition("/")[0]: data / name for name in REAL if (data / name).is_dir()}


def measured(home: Path, counts: tuple[int, ...], data: Path) -> Iterator[Row]:
    """Yield two rows for each series: seconds, and processor seconds, by stage."""
    all_series = write_all(home, counts, data)
    first = next(iter(all_series.values()))
    with services.orthanc(home / "orthanc") as archive:
        for name, folder in all_series.items():
            command = [sys.executable, "-W", "ignore", "-m", "tests.bench.way", str(folder), str(first)]
            done = subprocess.run(
                [*command, archive.destination],
                check=True,
                capture_output=True,
                text=True,
                env=os.environ | {"WORKER_CACHE_DIR": str(home / "cache")},
            )
            found = Figures(**json.loads(done.stdout))
            slices = float(len(_files(folder)))
            yield _row(name, slices, "seconds", found.seconds) | {"peak, MB": found.peak_mb}
            yield _row(name, slices, "processor s", found.cpu_s) | {"peak, MB": None}


def _row(name: str, slices: float, what: str, by_stage: Mapping[str, float]) -> dict[str, str | float | None]:
    stages = {stage: by_stage[stage] for stage in STAGES}
    return {"series": name, "slices": slices, "": what, **stages, "all": sum(stages.values()), "load": by_stage["load"]}


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in ("", ".dcm"))


def _taken_through(folder: Path, enter: Callable[[str], None], model: object, destination: str) -> None:
    """Run the pipeline on a folder and send what it makes."""
    from db.address import ApplicationEntity  # noqa: PLC0415
    from worker import pipeline  # noqa: PLC0415
    from worker.delivery import dicom  # noqa: PLC0415
    from worker.reading.unchanged import ReceivedFile  # noqa: PLC0415

    files = tuple(ReceivedFile(path, _digest(path)) for path in _files(folder))
    key = hashlib.sha256(str(folder).encode()).hexdigest()
    with tempfile.TemporaryDirectory() as results:
        task = pipeline.Task(files, key, datetime.now(UTC), Path(results))
        made = pipeline.run(task, model, enter)  # type: ignore[arg-type]
        enter("deliver")
        objects = [Path(output.path) for output in made.outputs if output.sop_uid]
        dicom.store(objects, ApplicationEntity.parse_url(destination), "SCLEROSCAN")
        enter("")


def _digest(path: Path) -> str:
    """Return the SHA-256 of a data set, which a listener has at hand by now."""
    content = path.read_bytes()
    return hashlib.sha256(content[144 + int.from_bytes(content[140:144], "little") :]).hexdigest()


def main() -> None:
    """Measure one series."""
    folder, first, destination = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    clock = Clock()
    clock.enter("load")
    from worker.analysis.patterns import model  # noqa: PLC0415
    from worker.settings import WorkerSettings  # noqa: PLC0415

    own = WorkerSettings()
    loaded = model.load(own.weights, "cpu", cache=own.cache_dir)
    clock.enter("")
    _taken_through(first, lambda _: None, loaded, destination)
    _taken_through(folder, clock.enter, loaded, destination)
    clock.figures.peak_mb = own_peak_mb()
    json.dump(asdict(clock.figures), sys.stdout)


if __name__ == "__main__":
    main()
