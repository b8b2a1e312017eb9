"""SEG and SR of a tiny series, as the tests of results need them."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from pathlib import Path

from pydicom import Dataset, dcmread

from tests.support.ct import TinyCT
from worker.analysis import quantify
from worker.analysis.records import Assessment, PatternMap
from worker.reading.quality import QualityFlag
from worker.results import files, seg, sr
from worker.results.segments import DISEASE, OUTLINE
from worker.results.source import Maker, ResultSource

CREATED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STATEMENT = "Trained on labelled data of 9 patients; research use only; not clinically validated."
FLAGS = (QualityFlag("reticulation_not_assessable", "slices this thick hide lines", 5.0),)
MAKER = Maker("0.1.0", "ssc-ild-unet-site 1 (labelled)", "1", "ab" * 32, STATEMENT)


def source(ct: TinyCT, job_key: str = "k" * 64) -> ResultSource:
    """Return a tiny series as the encoders take it, headers without pixels."""
    headers = tuple(ct.datasets())
    for header in headers:
        del header.PixelData
    return ResultSource(ct.volume(), headers, job_key, CREATED, MAKER)


def assessed(ct: TinyCT, patterns: PatternMap | None = None) -> Assessment:
    """Return the numbers of a tiny series."""
    lungs, found = ct.masks()
    return replace(quantify.assess(ct.volume(), lungs, patterns or found), flags=FLAGS)


def encoded(ct: TinyCT, patterns: PatternMap | None = None) -> tuple[Dataset, Dataset, Dataset]:
    """Return (SEG of the disease, SEG of the lungs, SR) of a tiny series."""
    lungs, found = ct.masks()
    one = source(ct)
    disease, outline = (seg.encode(one, content, lungs, patterns or found) for content in (DISEASE, OUTLINE))
    return disease, outline, sr.encode(one, assessed(ct, patterns), (disease, outline))


def written(folder: Path) -> list[files.WrittenFile]:
    """Write SEG and SR of the plain tiny series as a job does."""
    return [files.write_object(folder, kind, dcmread(BytesIO(raw))) for kind, raw in _plain()]


@cache
def _plain() -> tuple[tuple[str, bytes], ...]:
    """Encode them once for all tests of a process: it takes longer than most of these."""
    disease, _, report = encoded(TinyCT())
    return ("seg", part10(disease)), ("sr", part10(report))


def part10(dataset: Dataset) -> bytes:
    """Return an object as it stands in a file."""
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def save(dataset: Dataset, path: Path) -> Path:
    """Write an object and return its path."""
    dataset.save_as(path, enforce_file_format=True)
    return path
