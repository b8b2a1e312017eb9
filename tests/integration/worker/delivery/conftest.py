"""What tests of delivery send, and who takes it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from dicom_node.scp.archive import Archive
from tests.support.ct import TinyCT
from tests.support.results import source, written
from worker.results import files, page_object


@pytest.fixture(autouse=True)
def results_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deliver from the folder in which :func:`objects` lie: files elsewhere are never sent."""
    monkeypatch.setenv("WORKER_RESULTS_DIR", str(tmp_path / "results"))


@pytest.fixture
def objects(tmp_path: Path) -> list[files.WrittenFile]:
    """SEG and SR of a tiny series, in files."""
    return written(tmp_path / "results")


@pytest.fixture
def page(tmp_path: Path) -> files.WrittenFile:
    """A page of three frames, in a file."""
    drawn = [Image.new("RGB", (64, 64), colour) for colour in ("red", "green", "blue")]
    return files.write_object(tmp_path / "results", "page", page_object.encode(source(TinyCT()), drawn))


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """An archive that takes everything."""
    with Archive(tmp_path / "archive") as one:
        yield one
