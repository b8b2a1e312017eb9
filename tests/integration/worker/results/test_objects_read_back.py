"""What we write is read back by others: dciodvfy, dcmqi, SimpleITK."""

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from db.tracking import Predecessor
from tests.support import independent, services
from tests.support.ct import TinyCT
from tests.support.results import assessed, encoded, save, source
from worker.analysis.records import PatternMap
from worker.results import sr
from worker.results.profile import Profile, ReportClass

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


@pytest.mark.parametrize("report_class", ["comprehensive", "enhanced"])
def test_another_class_of_report_says_the_same(files: tuple[Path, ...], report_class: str, tmp_path: Path) -> None:
    segs, one = [dcmread(path) for path in files[1:3]], replace(source(CT), predecessor=Predecessor("p" * 64))
    made = sr.encode(one, assessed(CT), segs, profile=Profile(report_class=ReportClass(report_class)))
    default = dcmread(files[3])
    path = save(made, tmp_path / "sr.dcm")
    assert independent.validator_errors(path) == []
    assert made.SOPClassUID.name == f"{report_class.capitalize()} SR Storage"
    assert (
        made.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPClassUID
        == made.SOPClassUID
    )
    assert {made.SOPInstanceUID, made.SeriesInstanceUID}.isdisjoint({default.SOPInstanceUID, default.SeriesInstanceUID})
    assert independent.numbers(path) == independent.numbers(files[3])
    assert made.ContentSequence == default.ContentSequence
    # dsrdump names class and document first; all that follows is content.
    assert content(independent.dump(path)) == content(independent.dump(files[3]))


def content(dump: str) -> str:
    return dump[dump.index("<CONTAINER:") :]


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
