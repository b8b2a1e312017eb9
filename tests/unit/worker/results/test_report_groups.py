"""The groups of the SR that belong to places, to histograms and to change: every number in them is the one measured."""

from dataclasses import replace
from pathlib import Path

import pytest

from db.tracking import Predecessor
from tests.support import independent
from tests.support.ct import TinyCT
from tests.support.results import MAKER, assessed, save, source
from worker.analysis import timepoint
from worker.analysis.serial import Comparison, compare
from worker.reading.exam import Exam, Patient
from worker.results import seg, sr
from worker.results.profile import Profile, ReportClass, SegForm
from worker.results.segments import ALL

CT = TinyCT()
EXTENT = "Extent, volume of finding divided by volume of lung"


def compared() -> Comparison:
    """The tiny series beside itself as it was with half of the disease, scanned with another kernel."""
    exam = Exam("1.2.3", "20260101", Patient("TINY"), "B70f", 2.5)
    later = timepoint.of(exam, "1.2.4", MAKER.model_digest, assessed(CT))
    before = {region: replace(extent, value=extent.value / 2) for region, extent in later.extents.items()}
    earlier = replace(exam, study_uid="1.2.2", acquired="20250203", kernel="B30f")
    return compare(replace(later, exam=earlier, extents=before), later)


@pytest.fixture(scope="module")
def report_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    one = source(CT)
    written = sr.encode(one, assessed(CT), [seg.encode(one, ALL, *CT.masks())], compared())
    return save(written, tmp_path_factory.mktemp("sr") / "sr.dcm")


def test_others_read_every_zone_as_it_was_measured(report_file: Path, tmp_path: Path) -> None:
    report, ours = independent.report(report_file, tmp_path), assessed(CT)
    zones = [m for m in ours.measurements if m.zone in {"upper", "middle", "lower"} and m.side != "both"]
    names = {"total": "interstitial disease", "ggo": "ground glass"}
    quantities = {"volume": "Volume", "extent": EXTENT}
    assert len(zones) == 6 * (1 + 4 * 2)
    for m in zones:
        theirs = report[f"Scleroscan {names.get(m.region, m.region)} {m.side} {m.zone}"]
        assert theirs[quantities[m.quantity]] == pytest.approx(m.value, abs=0.051)


def test_others_read_the_shape_of_the_histogram(report_file: Path, tmp_path: Path) -> None:
    theirs, ours = independent.report(report_file, tmp_path)["Scleroscan both lungs"], assessed(CT)
    assert theirs["Attenuation Coefficient, Skewness"] == pytest.approx(ours.value("lung", "skewness"), abs=5.1e-3)
    assert theirs["Attenuation Coefficient, Kurtosis"] == pytest.approx(ours.value("lung", "kurtosis"), abs=5.1e-3)
    high = theirs["High attenuation areas, -600 to -250 HU, of the lung"]
    assert high == pytest.approx(ours.value("lung", "high_attenuation"), abs=0.051)


def test_the_change_is_told_with_its_study_and_its_caveat(report_file: Path, tmp_path: Path) -> None:
    change = independent.report(report_file, tmp_path)["Scleroscan change of interstitial disease"]
    points = assessed(CT).value("total", "extent") / 2
    assert change["Change of extent in points, later minus earlier exam"] == pytest.approx(points, abs=0.051)
    said = independent.dump(report_file)
    assert said.count("1.2.2") == said.count("20250203") == 4
    assert "Other kernel" in said
    assert "Category of Goh" in said


def test_the_validator_finds_no_error_in_any_group(report_file: Path) -> None:
    assert independent.validator_errors(report_file) == []


def test_a_report_names_the_one_that_it_replaces(tmp_path: Path) -> None:
    before, now = source(CT, "b" * 64), replace(source(CT), predecessor=Predecessor("b" * 64))
    replaced, report = (sr.encode(one, assessed(CT), [seg.encode(one, ALL, *CT.masks())]) for one in (before, now))
    assert "PredecessorDocumentsSequence" not in replaced
    (study,) = report.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (named,) = series.ReferencedSOPSequence
    assert (study.StudyInstanceUID, series.SeriesInstanceUID) == (replaced.StudyInstanceUID, replaced.SeriesInstanceUID)
    assert named.ReferencedSOPInstanceUID == replaced.SOPInstanceUID
    assert named.ReferencedSOPClassUID == replaced.SOPClassUID
    assert independent.validator_errors(save(report, tmp_path / "sr.dcm")) == []


@pytest.mark.parametrize(
    ("roles", "replaced"),
    [
        (("sr", "enhanced sr"), Profile(report_class=ReportClass.ENHANCED)),
        # It had no report of this role: its first one is named.
        (("comprehensive sr with seg", "sr"), Profile(SegForm.ONE, ReportClass.COMPREHENSIVE)),
        ((None,), Profile(report_class=ReportClass.ENHANCED)),
    ],
)
def test_a_report_replaces_that_of_its_own_role(roles: tuple[str | None, ...], replaced: Profile) -> None:
    before, now = source(CT, "b" * 64), replace(source(CT), predecessor=Predecessor("b" * 64, roles))
    segs = [seg.encode(now, ALL, *CT.masks())]
    earlier = sr.encode(before, assessed(CT), segs, profile=replaced)
    report = sr.encode(now, assessed(CT), segs, profile=Profile(report_class=ReportClass.ENHANCED))
    (named,) = report.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert named.ReferencedSOPInstanceUID == earlier.SOPInstanceUID
    assert named.ReferencedSOPClassUID == earlier.SOPClassUID
