"""What a demo leaves for people: its results under plain names, and the settings with which its site can be asked."""

import json
import os
import shlex
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy.orm import Session, sessionmaker

from compose.status_page.words import KINDS
from db.series_record import series_record
from db.tracking import Retention
from worker.analysis.records import Assessment, Measurement, Quantity, Region, Side, Unit

RESULT, SETTINGS, PHANTOM = "result", "site.env", "phantom"
TRUTH = "truth.json"
LOOKS = {**KINDS, "picture": "the overlay: slices beside what was found", "page": "the page, for any DICOM viewer"}


@dataclass(frozen=True)
class Look:
    """One file to look at, and what it is."""

    path: Path
    what: str


def lay_out(
    home: Path, sessions: sessionmaker[Session], series_uids: Sequence[str], retention: Retention
) -> Iterator[Look]:
    """Link the files of each series' result into one folder, under names that can be typed; yield each."""
    for number, series_uid in enumerate(series_uids, start=1):
        with sessions.begin() as session:
            record = series_record(session, series_uid, retention)
            outputs = [(Path(one.path), str(one.kind), one.role) for one in record.outputs] if record else []
        folder = home / RESULT / (str(number) if len(series_uids) > 1 else "")
        kinds = Counter(kind for _, kind, _ in outputs)
        for path, kind, role in outputs:
            folder.mkdir(parents=True, exist_ok=True)
            os.link(path, folder / path.name)
            yield Look(folder / path.name, f"{LOOKS[kind]}, {role}" if kinds[kind] > 1 else LOOKS[kind])


def write_settings(home: Path, environ: dict[str, str]) -> Path:
    """Write the settings of the demo's site as a file for a shell, and return its path."""
    path = home / SETTINGS
    path.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in environ.items()))
    return path


def phantom(folder: Path, spec: object, compute: Callable[[Path], Assessment]) -> tuple[Path, Assessment]:
    """Return the images and the truth of a phantom, computed by the first demo in a folder and kept for the next."""
    kept = folder / PHANTOM
    known = _read_truth(kept / TRUTH, repr(spec))
    if known is not None:
        return kept / "dicom", known
    shutil.rmtree(kept, ignore_errors=True)
    part = folder / f"{PHANTOM}.{os.getpid()}.part"
    truth = compute(part / "dicom")
    numbers = [asdict(one) for one in truth.measurements]
    (part / TRUTH).write_text(json.dumps({"spec": repr(spec), "measurements": numbers}))
    part.rename(kept)
    return kept / "dicom", truth


def _read_truth(path: Path, spec: str) -> Assessment | None:
    if not path.is_file():
        return None
    told = json.loads(path.read_text())
    if told["spec"] != spec:
        return None
    return Assessment(tuple(_measurement(**one) for one in told["measurements"]))


def _measurement(region: str, side: str, zone: str, quantity: str, value: float, unit: str) -> Measurement:
    return Measurement(Region(region), Side(side), zone, Quantity(quantity), value, Unit(unit))
