"""What the masks of a data set hold, looked at before anything is learnt from them."""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from worker.reading.volume import CTVolume
from worker.training.data import dataset_file, layouts
from worker.training.data.marks import Marks
from worker.training.data.scans import Kind, PngScan, Scan
from worker.training.errors import DatasetRejected

Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ValueRow:
    """One value of the masks, or the files of one kind.

    ``kind`` is what the data set's file says that it means; None: it is ignored. ``scans`` counts those that hold it.
    """

    value: str
    kind: Kind | None
    scans: int
    voxels: int


@dataclass(frozen=True)
class Survey:
    """A data set as it lies on the disk.

    ``assumed`` counts the scans whose spacing nobody gave; ``faults`` are the scans that cannot be read;
    ``same_images`` the patients under whom an image that lies at several paths stands, a name for each path.
    """

    dataset: str
    patients: int
    scans: int
    rows: tuple[ValueRow, ...]
    assumed: int = 0
    faults: tuple[DatasetRejected, ...] = ()
    same_images: tuple[tuple[str, ...], ...] = ()

    @property
    def absent(self) -> tuple[ValueRow, ...]:
        """What is declared, and stands in no mask."""
        return tuple(row for row in self.rows if row.kind is not None and not row.voxels)

    def require(self) -> None:
        """Refuse what would be trained on in vain.

        Raises
        ------
        DatasetRejected
            ``scan_unreadable``; ``one_image_two_patients``; ``label_value_absent``: a declared value, or all the files
            of a kind, mark nothing.
        """
        if self.faults:
            patients = [name for fault in self.faults for name in fault.detail["patients"]]
            message = "; ".join(str(fault) for fault in self.faults)
            raise DatasetRejected(message, code="scan_unreadable", detail={"patients": patients})
        for shared in self.same_images:
            raise self._shared(sorted(set(shared)))
        if self.absent:
            absent = [row.value if row.value.startswith("file") else f"{row.kind} {row.value}" for row in self.absent]
            found = ", ".join(row.value for row in self.rows if row.voxels) or "none"
            raise DatasetRejected(
                f"{self.dataset}: no mask holds {', '.join(absent)}; found are {found}. Mend it or leave it out",
                code="label_value_absent",
                detail={"absent": absent},
            )

    def _shared(self, patients: list[str]) -> DatasetRejected:
        message = f"{self.dataset}: the same image lies at several paths, under {', '.join(patients)}"
        code = "one_image_two_patients"
        if len(patients) == 1:
            message, code = f"{message}; name one path, and a reader for each mask", "two_masks_unnamed"
        return DatasetRejected(message, code=code, detail={"patients": patients})

    def as_json(self) -> dict[str, Any]:
        """Return what the model card holds of it."""
        rows = [asdict(row) for row in self.rows]
        return {"dataset": self.dataset, "patients": self.patients, "scans": self.scans, "rows": rows}


@dataclass
class _Tally:
    voxels: dict[tuple[str, Kind | None], int] = field(default_factory=dict)
    scans: dict[tuple[str, Kind | None], int] = field(default_factory=dict)
    patient_at: dict[str, dict[Path, str]] = field(default_factory=dict)
    faults: list[DatasetRejected] = field(default_factory=list)

    def add(self, scan: Scan, volume: CTVolume, marks: Marks) -> None:
        digest = hashlib.sha256(volume.hu.tobytes()).hexdigest()
        self.patient_at.setdefault(digest, {})[scan.image_path] = scan.patient
        for what, count in marks.found().items():
            self.voxels[what] = self.voxels.get(what, 0) + count
            self.scans[what] = self.scans.get(what, 0) + bool(count)

    def rows(self) -> tuple[ValueRow, ...]:
        return tuple(ValueRow(*what, self.scans[what], self.voxels[what]) for what in sorted(self.voxels, key=_order))

    def shared(self) -> tuple[tuple[str, ...], ...]:
        return tuple(tuple(at.values()) for at in self.patient_at.values() if len(at) > 1)


def of(path: Path, tell: Report) -> Survey:
    """Look at every scan of the data set that a YAML file describes. Raises DatasetRejected where the file is unfit."""
    described, tally = dataset_file.read(path), _Tally()
    for done, scan in enumerate(described.scans, start=1):
        try:
            tally.add(scan, *layouts.read(scan, described, path.parent))
        except DatasetRejected as fault:
            tally.faults.append(fault)
        tell(f"looking at {path.stem}", done, len(described.scans))
    assumed = sum(isinstance(scan, PngScan) and scan.spacing_mm is None for scan in described.scans)
    return Survey(
        described.name,
        len(described.patients),
        len(described.scans),
        tally.rows(),
        assumed,
        tuple(tally.faults),
        tally.shared(),
    )


def _order(what: tuple[str, Kind | None]) -> tuple[bool, float, str]:
    """Values by number, files of a kind behind them."""
    value, _ = what
    is_file = value.startswith("file")
    return is_file, 0.0 if is_file else float(value), value
