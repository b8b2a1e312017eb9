"""Result files outlive a power cut: what was renamed into a folder is on the disk before its row is."""

import os
from pathlib import Path

import pytest
from PIL import Image

from worker.results import files


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was synced to the disk, in order: really synced, and noted beside."""
    noted: list[str] = []
    really = os.fsync

    def note(descriptor: int) -> None:
        noted.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        really(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    return noted


def test_the_folder_is_synced_after_its_file(synced: list[str], tmp_path: Path) -> None:
    files.write_picture(tmp_path, "overlay", Image.new("L", (2, 2)))
    assert [Path(name).suffix for name in synced] == [".part", ""]
    assert synced[-1] == str(tmp_path)


def test_a_new_folder_is_synced_in_the_one_that_holds_it(synced: list[str], tmp_path: Path) -> None:
    files.write_picture(tmp_path / "results" / "key", "overlay", Image.new("L", (2, 2)))
    assert {str(tmp_path), str(tmp_path / "results"), str(tmp_path / "results" / "key")} <= set(synced)


def test_results_and_their_folder_are_their_owners_alone(tmp_path: Path) -> None:
    written = files.write_picture(tmp_path / "job", "overlay", Image.new("L", (2, 2)))
    modes = [path.stat().st_mode & 0o777 for path in (written.path, written.path.parent)]
    assert modes == [0o600, 0o700]
