"""Every object as a worker makes it of a phantom, beside an earlier exam, with every kind of number in them."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from pydicom import Dataset, dcmread

from db.states import OutputKind
from db.tracking import Predecessor
from dicom_node.spool import part10
from worker import packaged_model, pipeline
from worker.analysis.patterns import model
from worker.analysis.serial import Extent, Timepoint
from worker.phantom.chest_ct import PhantomSpec, render
from worker.phantom.dicom_series import PhantomIdentity, write_series
from worker.reading import exam_header, series
from worker.reading.unchanged import ReceivedFile

EXTENTS = {"total": 4.0, "ggo": 3.0, "reticulation": 1.0, "consolidation": 0.0}


@dataclass(frozen=True)
class Produced:
    """The files by kind, and what they hold."""

    paths: dict[str, Path]

    def __getitem__(self, kind: str) -> Dataset:
        """Read one."""
        return dcmread(self.paths[kind])


def produce(folder: Path) -> Produced:
    """Measure a phantom with the model that comes with the package, and return what is written of it."""
    spec = PhantomSpec(seed=5, shape=(48, 192, 192), spacing_mm=(5.7, 1.9, 1.9), extent_pct=25.0)
    write_series(render(spec), folder / "ct", PhantomIdentity())
    paths = sorted((folder / "ct").glob("*.dcm"))
    received = (
        ReceivedFile(path, sha256(part10.image_of_file(path.read_bytes()).dataset).hexdigest()) for path in paths
    )
    task = pipeline.Task(
        tuple(received),
        "k" * 64,
        datetime(2026, 1, 2, tzinfo=UTC),
        folder / "out",
        (earlier(paths),),
        Predecessor("p" * 64),
        also=frozenset({OutputKind.PAGE, OutputKind.PDF, OutputKind.KEY_IMAGES}),
    )
    loaded = model.load(packaged_model.WEIGHTS, "cpu", "auto")
    written = pipeline.run(task, loaded, lambda _stage: None).outputs
    return Produced({file.kind: Path(file.path) for file in written if file.sop_uid})


def earlier(paths: list[Path]) -> Timepoint:
    """The same patient a year before, with less disease, by another kernel."""
    now = exam_header.read(series.read(paths))
    exam = replace(now, study_uid="1.2.826.0.1.3680043.2.1.1", acquired="20000101", kernel="another")
    extents = {region: Extent(value, value - 1, value + 1) for region, value in EXTENTS.items()}
    return Timepoint(exam, "1.2.826.0.1.3680043.2.1.2", "m" * 64, 4000.0, extents)
