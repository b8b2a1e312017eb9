"""The benchmark's own figures: memory is a process's own, and no table is cut off."""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from tests.bench import encoding, figures, reading, scale_page, speed_page, thousand, ticks, way
from tests.bench.__main__ import encoding_beside_peers
from tests.support import REPOSITORY
from tests.support.ct import TinyCT
from worker.phantom.chest_ct import PhantomSpec, render

ASK = "from tests.bench.figures import own_peak_mb; print(own_peak_mb())"
# It holds much, and then starts the one that is asked.
PARENT = (
    f"import subprocess, sys; held = b'x' * 400_000_000; subprocess.run([sys.executable, '-c', {ASK!r}], check=True)"
)


def test_a_child_does_not_show_what_its_parent_held() -> None:
    found = subprocess.run([sys.executable, "-c", PARENT], check=True, capture_output=True, text=True, cwd=REPOSITORY)
    assert 1 < float(found.stdout) < 200


def test_a_table_in_a_pipe_is_not_cut_off(capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"a column with a long name, {number}" for number in range(5)]
    figures.print_table("wide", [dict.fromkeys(names, "scleroscan: durable")])
    said = capsys.readouterr().out
    assert all(name in said for name in names)
    assert "…" not in said


def test_the_page_of_the_way_shows_every_stage(tmp_path: Path) -> None:
    stages = dict(zip(way.STAGES, (0.5, 1.5, 2.0, 0.25, 1.0, 0.75), strict=True))
    facts = {"series": "phantom of 60", "slices": 60.0}
    rows = [
        facts | {"": "seconds", **stages, "all": 6.0, "load": 4.0, "peak, MB": 812.0},
        facts | {"": "processor s", **stages, "all": 6.0, "load": 4.0, "peak, MB": None},
    ]
    speed_page.write(tmp_path, rows)
    page = (tmp_path / "speed.md").read_text()
    assert "| phantom of 60 | 60 | seconds | 0.50 | 1.50 | 2.00 | 0.25 | 1.00 | 0.75 | 6.00 | 4.00 | 812 |" in page
    assert json.loads((tmp_path / "speed.json").read_text())["rows"] == rows
    with Image.open(tmp_path / "speed.png") as plot:
        assert plot.width > 1000


def test_a_clock_tells_what_each_stage_took() -> None:
    clock = way.Clock()
    clock.enter("read")
    time.sleep(0.05)
    clock.enter("lungs")
    clock.enter("")
    assert list(clock.figures.seconds) == ["read", "lungs"]
    assert 0.04 < clock.figures.seconds["read"] - clock.figures.seconds["lungs"] < 5
    assert clock.figures.cpu_s["read"] < 0.05


def test_a_stretched_phantom_is_the_same_chest() -> None:
    phantom = render(PhantomSpec(seed=3, shape=(6, 32, 32), spacing_mm=(40.0, 10.0, 10.0)))
    finer = way.stretched(phantom, 16).volume
    assert finer.hu.shape == (16, 32, 32)
    assert finer.spacing_mm == pytest.approx((15.0, 10.0, 10.0))
    assert len(set(finer.sop_uids)) == 16
    assert np.array_equal(finer.hu[[0, -1]], phantom.volume.hu[[0, -1]])
    between = np.round(phantom.volume.hu[1] * (2 / 3) + phantom.volume.hu[2] * (1 / 3))
    assert np.abs(finer.hu[4] - between).max() <= 1


def test_every_encoder_is_measured_and_the_page_has_the_rows(tmp_path: Path) -> None:
    ct = TinyCT()
    ct.write(tmp_path / "ct")
    prepared = encoding.prepare(tmp_path / "masks", tmp_path / "ct", *ct.masks())
    asked = argparse.Namespace(encode_slices=[6], rounds=1)
    rows = list(encoding_beside_peers(prepared, asked))
    assert [row["encoder"] for row in rows] == list(encoding.ENCODERS)
    sizes = {str(row["encoder"]): float(row["files, MB"] or 0) for row in rows}
    assert sizes["ours"] == pytest.approx(sizes["highdicom, stacked"], rel=0.02)
    assert 0 < sizes["ours, labels, deflated"] < sizes["ours, labels"]
    encoding.write_page(tmp_path, rows)
    page = (tmp_path / "encoding.md").read_text()
    assert all(f"| 6 | {name} |" in page for name in encoding.ENCODERS)
    assert "load average" in page


@pytest.mark.parametrize("stored", reading.ENCODINGS)
def test_every_reader_reads_every_encoding_alike(tmp_path: Path, stored: str) -> None:
    TinyCT().write(tmp_path / "ct")
    slices = sorted((tmp_path / "ct").iterdir())
    paths = sorted(reading.write(slices, tmp_path / "written", stored, len(slices)).iterdir())
    ours = reading.ours(paths).hu
    assert np.array_equal(ours, np.maximum(reading.pydicom(paths), -1024))
    assert np.array_equal(ours, np.maximum(sitk.GetArrayFromImage(reading.simpleitk(paths)), -1024))


def test_the_page_of_reading_has_the_rows(tmp_path: Path) -> None:
    rows = [{"encoding": "HTJ2K", "reader": "ours", "seconds": 0.5, "processor s": 0.875, "peak, MB": 300.0}]
    reading.write_page(tmp_path, rows)
    page = (tmp_path / "reading.md").read_text()
    assert "| HTJ2K | ours | 0.50 | 0.88 | 300 |" in page
    assert "load average" in page


SPENT = {"listeners, ms": 80.0, "statements of scheduler": 120.0}


def test_the_page_of_a_thousand_series_has_every_table(tmp_path: Path) -> None:
    waiting = {"after, s": "60", "jobs waiting": "100", "messages": "100", **SPENT}
    found = {
        "idle": [{"after, s": "60", **SPENT}],
        "tenths": [{"series": "1 to 100", "seconds": 1.25, **SPENT}],
        "statements": [{"process": "workers", "statement": "INSERT measurement", "a series": 1.0}],
        "waiting": [waiting],
        "asked": [{"asked": "the jobs that are due", "how often": "4 a second", "ms": 0.5, "rows read": "0"}],
    }
    scale_page.write(tmp_path, found, 100_000)
    page = (tmp_path / "scale.md").read_text()
    for line in ("| 1 to 100 | 1.25 | 80 | 120 |", "| workers | INSERT measurement | 1.00 |", "## With 100,000 series"):
        assert line in page
    assert "100 series wait" in page
    assert json.loads((tmp_path / "scale.json").read_text())["waiting"] == [waiting]


def test_what_is_asked_again_and_again_is_timed_at_each_size() -> None:
    rows = {row["asked"]: row for row in ticks.measured((200, 400), images=2, rounds=1)}
    assert len(rows) == len(ticks.ASKED)
    assert all(float(row[f"ms, {size} series"] or 0) > 0 for row in rows.values() for size in (200, 400))
    assert rows["the jobs that are due"]["rows read"] == "0"


def test_statements_are_named_by_what_they_do() -> None:
    named = {
        "SELECT series.uid FROM series WHERE series.uid = $1 FOR UPDATE": "SELECT series FOR UPDATE",
        "INSERT INTO measurement (job_id) VALUES ($1)": "INSERT measurement",
        "UPDATE job SET state=$1 WHERE job.id = $2": "UPDATE job",
        "BEGIN": "transactions and pings",
        "SELECT $1": "transactions and pings",
    }
    assert {query: thousand.what(query) for query in named} == named
