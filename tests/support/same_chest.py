"""One computed chest as many series: it is drawn once, and each copy has UIDs and a patient of its own."""

from pathlib import Path

from pydicom import Dataset, dcmread

from worker.phantom.chest_ct import PhantomSpec, render
from worker.phantom.dicom_series import PhantomIdentity, write_series

# As few slices, and as coarse, as a chest may have that is measured and delivered.
SPEC = PhantomSpec(seed=9_100, shape=(40, 128, 128), spacing_mm=(6.9, 2.8, 2.8), extent_pct=20.0)
ROOT = "1.2.826.0.1.3680043.10.1613.77"


class Chest:
    """The chest; ``folder`` takes its first copy."""

    def __init__(self, folder: Path) -> None:
        paths = write_series(render(SPEC), folder, PhantomIdentity())
        self._slices = [dcmread(path) for path in paths]
        self.slices = len(paths)

    def write(self, folder: Path, number: int) -> Path:
        """Write the copy of a number, and return its folder."""
        folder.mkdir(parents=True)
        for place, ds in enumerate(self._slices):
            _stamp(ds, number, place)
            ds.save_as(folder / f"{place:04d}.dcm", enforce_file_format=True)
        return folder


def series_uid(number: int) -> str:
    """Return the Series Instance UID of a copy."""
    return f"{ROOT}.{number}.2"


def study_uid(number: int) -> str:
    """Return the Study Instance UID of a copy."""
    return f"{ROOT}.{number}.1"


def _stamp(ds: Dataset, number: int, place: int) -> None:
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study_uid(number), series_uid(number)
    ds.FrameOfReferenceUID = f"{ROOT}.{number}.3"
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{series_uid(number)}.{place + 1}"
    ds.PatientID = ds.AccessionNumber = f"COPY-{number}"
