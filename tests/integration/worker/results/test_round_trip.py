"""A patient seen twice, measured by the worker: rows, SR as DCMTK reads it, page and history say the same numbers."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from PIL import ImageDraw
from sqlalchemy import select

from db import schema
from db.engine import open_database
from db.finding_tables import Measurement
from db.tables import Job, Output
from tests.integration.compose.test_command import scleroscan
from tests.integration.worker.test_analysis_task import opened, registered
from tests.support import independent
from worker import identity
from worker.analysis_task import AnalysisTask
from worker.phantom.chest_ct import Phantom, PhantomSpec, render
from worker.phantom.dicom_series import PhantomIdentity, write_series
from worker.settings import WorkerSettings
from worker.training.evaluation import truth

SPEC = PhantomSpec(seed=7102, shape=(48, 192, 192), spacing_mm=(5.7, 1.9, 1.9), consolidation_share=0.0)
# From day to share of the lungs that is drawn diseased.
COURSE = {"20240301": 8.0, "20250303": 30.0}
# How an SR names a quantity and its derivation, and with how many digits; our scheme is 99SCLEROSCAN.
TOLD = {
    "volume": ("118565006", "", 0),
    "extent": ("EXTENT-VOLUME", "", 1),
    "extent_lower": ("EXTENT-LOWER", "", 1),
    "extent_upper": ("EXTENT-UPPER", "", 1),
    "mean_attenuation": ("112031", "373098007", 0),
    "attenuation_sd": ("112031", "386136009", 0),
    "skewness": ("112031", "126051", 2),
    "kurtosis": ("112031", "126052", 2),
    "high_attenuation": ("HIGH-ATTENUATION", "", 1),
    "five_level_extent": ("EXTENT-FIVE-LEVELS", "", 1),
}
FINDINGS = {
    "lung": "lung",
    "total": "interstitial disease",
    "ggo": "ground glass",
    "reticulation": "reticulation",
    "consolidation": "consolidation",
}
# Two exams are drawn, measured and encoded.
pytestmark = pytest.mark.timeout(900)
Rows = dict[tuple[str, str, str, str], Measurement]


@dataclass(frozen=True)
class Exam:
    """One exam: what was drawn, and what the worker left of it. ``words`` are those drawn on the pages."""

    phantom: Phantom
    rows: Rows
    sr: Path
    words: tuple[str, ...]

    def __getitem__(self, key: tuple[str, str, str, str]) -> float:
        return self.rows[key].value


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    (folder / "site").mkdir()
    return folder


@pytest.fixture(scope="module")
def exams(home: Path) -> Iterator[list[Exam]]:
    """Both exams, the earlier first, measured by the packaged model."""
    url = f"sqlite:///{home / 'site' / 'rows.db'}"
    schema.upgrade(url)
    sessions = open_database(url)
    settings = WorkerSettings(device="cpu", results_dir=home / "results")
    worker, seen = AnalysisTask(settings, sessions, "worker"), []
    for day, extent_pct in COURSE.items():
        words: list[str] = []
        phantom = render(replace(SPEC, extent_pct=extent_pct))
        paths = write_series(phantom, home / day, PhantomIdentity(study_date=day))
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(ImageDraw.ImageDraw, "text", noting(words))
            worker.run(opened(sessions, registered(home / "spool", sessions, paths), identity.current(settings)))
        with sessions.begin() as session:
            job = session.scalars(select(Job).order_by(Job.id.desc())).first()
            assert job is not None
            assert (str(job.state), job.code) == ("encoded", None)
            rows = session.scalars(select(Measurement).where(Measurement.job_id == job.id)).all()
            kept = session.scalars(select(Output.path).where(Output.job_id == job.id, Output.kind == "sr")).one()
            session.expunge_all()
        by_key = {(m.region, m.side, m.zone, m.quantity): m for m in rows}
        seen.append(Exam(phantom, by_key, Path(kept), tuple(words)))
    yield seen
    sessions.kw["bind"].dispose()


def noting(words: list[str]) -> object:
    """Return ``ImageDraw.text`` that notes what it draws."""
    text = ImageDraw.ImageDraw.text

    def drawn(self: ImageDraw.ImageDraw, at: object, said: str, *given: object, **named: object) -> None:
        words.append(said)
        text(self, at, said, *given, **named)

    return drawn


def group(region: str, side: str, zone: str) -> str:
    """Return under which tracking identifier an SR tells of a region in a place."""
    if zone != "whole":
        return f"Scleroscan {FINDINGS[region]} {side} {zone}"
    if region == "lung":
        return "Scleroscan both lungs" if side == "both" else f"Scleroscan {side} lung"
    return f"Scleroscan {FINDINGS[region]}" + ("" if side == "both" else f" {side}")


def test_every_number_of_the_sr_is_that_of_its_row(exams: list[Exam]) -> None:
    for exam in exams:
        told = independent.numbers(exam.sr)
        rows = {
            (group(*key[:3]), *TOLD[key[3]][:2]): (row, TOLD[key[3]][2])
            for key, row in exam.rows.items()
            if key[3] in TOLD
        }
        of_rows = {place: number for place, number in told.items() if "change" not in place[0]}
        assert of_rows.keys() - rows.keys() == set()
        assert len(of_rows) > 90
        for place, (value, unit) in of_rows.items():
            row, digits = rows[place]
            digits = 1 if unit == "ml" and row.value < 10 else digits
            assert (value, unit) == (f"{round(row.value, digits) + 0.0:.{digits}f}", row.unit), place


def test_every_number_of_rows_is_in_the_sr_but_for_levels(exams: list[Exam]) -> None:
    for exam in exams:
        told = independent.numbers(exam.sr)
        left = [key for key in exam.rows if (group(*key[:3]), *TOLD.get(key[3], ("", ""))[:2]) not in told]
        # What is told of each lung and of its zones is not told again of both together; of one lung a pattern's whole.
        assert {(key[3], key[1]) for key in left if key[3] == "level_extent"} == {("level_extent", "both")}
        assert {key[1] for key in left if key[2] in {"upper", "middle", "lower"}} == {"both"}
        rest = {key[0] for key in left if key[3] != "level_extent" and key[2] == "whole"}
        assert rest <= {"ggo", "reticulation", "consolidation"}


def test_every_number_on_the_page_is_that_of_its_row(exams: list[Exam]) -> None:
    for exam in exams:
        places = [("total", "both"), ("ggo", "both"), ("reticulation", "both"), ("consolidation", "both")]
        whole = {f"{exam[region, side, 'whole', 'extent']:.1f} %" for region, side in places}
        bounds = {
            " to ".join(f"{exam[region, 'both', 'whole', bound]:.1f}" for bound in ("extent_lower", "extent_upper"))
            for region, _ in places
        }
        zones = {
            f"{exam['total', side, zone, 'extent']:.0f} %"
            for side in ("right", "left")
            for zone in ("upper", "middle", "lower")
        }
        assert whole | bounds | zones <= set(exam.words)
        lung = {key[3]: row.value for key, row in exam.rows.items() if key[:3] == ("lung", "both", "whole")}
        sides = [exam["lung", side, "whole", "volume"] for side in ("right", "left")]
        worst = max(
            ((side, zone) for side in ("right", "left") for zone in ("upper", "middle", "lower")),
            key=lambda place: exam["total", *place, "extent"],
        )
        lines = {
            f"Volume  {lung['volume']:.0f} ml   (R {sides[0]:.0f}, L {sides[1]:.0f})",
            f"Attenuation  −{-lung['mean_attenuation']:.0f} ± {lung['attenuation_sd']:.0f} HU",
            f"−600 to −250 HU  {lung['high_attenuation']:.1f} %",
            f"Skewness {lung['skewness']:.2f}, excess kurtosis {lung['kurtosis']:.2f}",
            f"Five levels, approximate  {exam['total', 'both', 'whole', 'five_level_extent']:.1f} %",
            f"Worst zone: {worst[0]} {worst[1]}, {exam['total', *worst, 'extent']:.1f} %",
        }
        assert lines <= set(exam.words)
        # No other share of the lung stands there.
        others = {word for word in exam.words if re.fullmatch(r"[\d.]+ %", word)} - whole - zones
        assert others == set()


def test_known_growth_is_told_alike_in_sr_page_and_history(exams: list[Exam], home: Path) -> None:
    before, after = exams
    history = scleroscan(home, "history", "PHANTOM-SSC", "--json")
    assert history.returncode == 0, history.stderr
    first, second = json.loads(history.stdout)["exams"]
    assert first["changes"] == {}
    drawn = [truth.of(exam.phantom)["total", "both", "whole", "extent"] for exam in exams]
    points, lower, upper = second["changes"]["total"]["points"]
    assert points == pytest.approx(drawn[1] - drawn[0], abs=4)
    assert lower < drawn[1] - drawn[0] < upper
    assert points == pytest.approx(
        after["total", "both", "whole", "extent"] - before["total", "both", "whole", "extent"]
    )
    assert second["changes"]["total"]["verdict"] == "increase"
    told = independent.numbers(after.sr)
    for region, finding in FINDINGS.items():
        if region == "lung":
            continue
        numbers = second["changes"][region]["points"]
        names = ("EXTENT-CHANGE", "EXTENT-CHANGE-LOWER", "EXTENT-CHANGE-UPPER")
        in_sr = [told[f"Scleroscan change of {finding}", name, ""] for name in names]
        assert in_sr == [(f"{round(number, 1) + 0.0:.1f}", "%") for number in numbers]
    line = f"Disease  {points:+.1f}  ({lower:+.1f} to {upper:+.1f})  increase".replace("-", "−")
    assert line in after.words
    assert f"Compared with {'2024-03-01'}, in points of extent" in after.words
    assert not any("change of" in place[0] for place in independent.numbers(before.sr))
