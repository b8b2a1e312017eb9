"""What we write is read back by others: dciodvfy, dcmqi, SimpleITK."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.support import independent, services
from tests.support.ct import TinyCT
from tests.support.results import assessed, encoded, save
from worker.analysis.records import PatternMap

CT = TinyCT()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    folder = tmp_path_factory.mktemp("objects")
    CT.write(folder / "ct")
    names = ("seg.dcm", "lungs.dcm", "sr.dcm")
    return folder / "ct", *(save(one, folder / name) for name, one in zip(names, encoded(CT), strict=True))


def test_the_validator_finds_no_error(files: tuple[Path, ...]) -> None:
    assert [independent.validator_errors(path) for path in files[1:]] == [[], [], []]


def test_the_validator_finds_no_error_without_any_lesion(tmp_path: Path) -> None:
    nothing = PatternMap(np.zeros((CT.slices, CT.rows, CT.columns), np.uint8))
    paths = [save(o, tmp_path / f"{n}.dcm") for n, o in enumerate(encoded(CT, nothing))]
    assert [independent.validator_errors(path) for path in paths] == [[], [], []]


def test_others_see_every_segment_where_we_see_it(files: tuple[Path, ...], tmp_path: Path) -> None:
    lungs, patterns = CT.masks()
    ours = {
        "Left lung": lungs.labels == 2,
        "Right lung": lungs.labels == 1,
        "Ground glass opacity": patterns.labels == 1,
        "Reticulation": patterns.labels == 2,
        "Consolidation": patterns.labels == 3,
    }
    found = {name: one for seg in files[1:3] for name, one in independent.segments(seg, tmp_path / seg.stem).items()}
    assert set(found) == set(ours)
    for label, image in found.items():
        assert independent.mean_hu(files[0], image) == pytest.approx(float(CT.hu()[ours[label]].mean()), abs=0.01)


def test_others_read_our_numbers(files: tuple[Path, ...], tmp_path: Path) -> None:
    report = independent.report(files[3], tmp_path)
    ours = assessed(CT)
    for finding, region, side in (
        ("left lung", "lung", "left"),
        ("right lung", "lung", "right"),
        ("ground glass", "ggo", "both"),
        ("reticulation", "reticulation", "both"),
        ("consolidation", "consolidation", "both"),
        ("interstitial disease", "total", "both"),
    ):
        theirs = report[f"Scleroscan {finding}"]
        assert theirs["Volume"] == pytest.approx(ours.value(region, "volume", side), abs=0.05)
    extent = report["Scleroscan interstitial disease"]["Extent, volume of finding divided by volume of lung"]
    assert extent == pytest.approx(ours.value("total", "extent"), abs=0.05)

    printed = subprocess.run([services.program("dsrdump"), str(files[3])], capture_output=True, text=True, check=True)
    first = next(line for line in printed.stdout.splitlines() if "<contains NUM:" in line)
    assert "Extent" in first
    assert f'"{extent:.1f}" (%' in first
