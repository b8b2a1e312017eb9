"""The YAML file that describes labelled data: what it holds, where, and what its labels mean."""

from functools import cached_property
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from worker.training.data import scan_patterns
from worker.training.data.scans import Kind, Scan, Strict
from worker.training.errors import DatasetRejected


class LabelValues(Strict):
    """Which values of a mask, or segment numbers of a SEG, mean what; without ``lung`` the lungs are segmented."""

    ground_glass: tuple[int, ...]
    reticulation: tuple[int, ...]
    consolidation: tuple[int, ...] = ()
    lung: tuple[int, ...] = ()

    def of(self, kind: Kind) -> tuple[int, ...]:
        """Return the values of one kind."""
        values: tuple[int, ...] = getattr(self, kind)
        return values


class DatasetFile(Strict):
    """A data set: its name, what the labels mean, and its scans. Paths are relative to the file."""

    name: str = Field(min_length=1)
    labels: LabelValues | None = None
    scans: tuple[Scan, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _labels_have_a_meaning(self) -> Self:
        if self.labels is None and any(None in scan.mask_files for scan in self.scans):
            raise ValueError("labels are missing: say what the values of a mask mean, or give a mask for each kind")
        return self

    @property
    def patients(self) -> tuple[str, ...]:
        """Every patient once, in the order of the file."""
        return tuple(dict.fromkeys(scan.patient for scan in self.scans))

    @cached_property
    def by_image(self) -> tuple[tuple[Scan, ...], ...]:
        """The scans of each image: one, or one for each reader."""
        grouped: dict[Path, list[Scan]] = {}
        for scan in self.scans:
            grouped.setdefault(scan.image_path, []).append(scan)
        return tuple(map(tuple, grouped.values()))

    @property
    def first_read(self) -> tuple[Scan, ...]:
        """Each image once, as the reader named first has drawn it: so no patient is judged twice."""
        return tuple(scans[0] for scans in self.by_image)

    @property
    def read_twice(self) -> tuple[tuple[Scan, ...], ...]:
        """The scans of each image that several readers have drawn on."""
        return tuple(scans for scans in self.by_image if len(scans) > 1)


def read(path: Path) -> DatasetFile:
    """Read and check a data set's YAML file.

    Raises
    ------
    DatasetRejected
        ``dataset_unreadable``: no such file, or it says too little or too much; ``one_image_two_patients``;
        ``two_masks_unnamed``: an image has several masks, and no names say that they are of several readers.
    """
    try:
        written = yaml.safe_load(path.read_text(encoding="utf-8"))
        described = DatasetFile.model_validate(_expanded(written, path.parent))
    except ValidationError as error:
        raise DatasetRejected(f"{path.name} cannot be used: {_said(error)}", code="dataset_unreadable") from error
    except (OSError, yaml.YAMLError, ValueError) as error:
        raise DatasetRejected(f"{path.name} cannot be used: {error}", code="dataset_unreadable") from error
    _require_readers(described)
    return described


def _expanded(written: Any, folder: Path) -> Any:
    if not isinstance(written, dict) or not isinstance(scans := written.get("scans"), list):
        return written
    one_by_one = [
        one for scan in scans for one in (scan_patterns.expanded(scan, folder) if isinstance(scan, dict) else [scan])
    ]
    return {**written, "scans": one_by_one}


def _said(error: ValidationError) -> str:
    return "; ".join(
        ": ".join(part for part in (".".join(map(str, one["loc"])), one["msg"].removeprefix("Value error, ")) if part)
        for one in error.errors()
    )


def _require_readers(described: DatasetFile) -> None:
    for scans in described.read_twice:
        patients = sorted({scan.patient for scan in scans})
        if len(patients) > 1:
            message = f"one image, {scans[0].image_path}, stands under several patients: {', '.join(patients)}"
            raise DatasetRejected(message, code="one_image_two_patients", detail={"patients": patients})
        readers = {scan.reader for scan in scans}
        if None in readers or len(readers) < len(scans):
            raise DatasetRejected(
                f"{patients[0]} has two masks for one image: leave one out, or name a reader for each",
                code="two_masks_unnamed",
                detail={"patients": patients},
            )
