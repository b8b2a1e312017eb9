"""What the demo says at its end: a row a series, how near is near enough, whole paths, and what to do next."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from compose import demo, demo_report, own_command
from compose.demo import Measured, Outcome, Report
from compose.demo_folder import Look
from compose.errors import DemoFailed
from compose.screen import OUT
from db.audit import SeriesStatus
from tests.support.command import run
from tests.support.json_page import require_documented
from worker.analysis.records import WHOLE, Assessment, Measurement, Quantity, Region, Side, Unit

HOME = Path("scleroscan-demo") / "20260101-000000"
LOOKS = (Look(HOME / "result" / "overlay.png", "the overlay"), Look(HOME / "result" / "seg.dcm", "SEG, disease"))
ROW = {
    "patient_id": "ID 7",
    "lung_volume_ml": 4990.0,
    "total_extent_pct": 18.4,
    "ggo_extent_pct": 7.2,
    "reticulation_extent_pct": 1.0,
    "consolidation_extent_pct": 3.0,
}


def status(uid: str, state: str, code: str | None = None, reason: str | None = None) -> SeriesStatus:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return SeriesStatus(uid, "", 5, now, "complete", 1, state, None, 1, code, reason, {}, ())


def truth() -> Assessment:
    extents = {Region.TOTAL: 20.0, Region.GROUND_GLASS: 5.0, Region.RETICULATION: 10.0, Region.CONSOLIDATION: 5.0}
    numbers = [Measurement(Region.LUNG, Side.BOTH, WHOLE, Quantity.VOLUME, 5000.0, Unit.MILLILITRE)]
    for region, value in extents.items():
        numbers.append(Measurement(region, Side.BOTH, WHOLE, Quantity.EXTENT, value, Unit.PERCENT))
    return Assessment(tuple(numbers))


def shown(outcome: Outcome, capsys: pytest.CaptureFixture[str]) -> str:
    demo_report.show(outcome)
    return capsys.readouterr().out


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OUT, "width", 80)


def outcome(*measured: Measured, true: Assessment | None = None) -> Outcome:
    return Outcome(HOME, measured, true, LOOKS, 4, 0, {"prepare": 1.0})


def test_two_series_are_two_rows_for_people_and_machines(capsys: pytest.CaptureFixture[str]) -> None:
    two = outcome(
        Measured(status("1.2.3", "delivered"), ROW, []),
        Measured(status("1.2.4", "rejected", "not_chest", "no lung is seen"), {}, []),
    )
    require_documented("demo", two.as_json())
    told = two.as_json()["series"]
    assert [(one["series_uid"], one["state"], one["code"]) for one in told] == [
        ("1.2.3", "delivered", None),
        ("1.2.4", "rejected", "not_chest"),
    ]
    page = shown(two, capsys)
    assert "1.2.3" in page
    assert "not_chest: no lung is seen" in " ".join(page.split())


def test_the_tolerance_stands_beside_each_mark(capsys: pytest.CaptureFixture[str]) -> None:
    page = shown(outcome(Measured(status("1.2.3", "delivered"), ROW, []), true=truth()), capsys)
    marks = [line for line in page.splitlines() if "✓" in line or "✗" in line]
    assert ["within 3 %" in marks[0], *("within 5 points" in line for line in marks[1:])] == [True] * 5
    assert ["✗" in line for line in marks] == [False, False, False, True, False]


def test_what_to_look_at_is_named_by_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(outcome(Measured(status("1.2.3", "delivered"), ROW, [])), capsys).splitlines()
    at = lines.index(f"Where to look, in {HOME}:")
    assert lines[at + 1 : at + 4] == [
        "  result/overlay.png  the overlay",
        "  result/seg.dcm      SEG, disease",
        "The embedded archive took 4 objects.",
    ]


def test_the_commands_to_go_on_can_be_copied(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(outcome(Measured(status("1.2.3", "delivered"), ROW, [])), capsys).splitlines()
    commands = [line.partition("    #")[0].strip() for line in lines[lines.index("To go on:") + 1 :]]
    assert commands == [
        f". {HOME}/site.env",
        "scleroscan status",
        "scleroscan history 'ID 7'",
        "scleroscan user add me --role operator --patients && scleroscan status-page",
        "scleroscan demo --dicom FOLDER",
    ]


def test_one_next_step_names_the_command_as_it_can_be_typed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    command = tmp_path / ".venv" / "bin" / "scleroscan"
    command.parent.mkdir(parents=True)
    command.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(command)])
    monkeypatch.setenv("PATH", "/nowhere")
    assert own_command.name() == ".venv/bin/scleroscan"
    assert "  .venv/bin/scleroscan demo --dicom " in shown(outcome(), capsys)
    monkeypatch.setenv("PATH", str(command.parent))
    assert own_command.name() == "scleroscan"


def test_a_demo_of_two_series_fails_where_one_is_rejected() -> None:
    good = Measured(status("1.2.3", "delivered"), ROW, [])
    assert outcome(good, Measured(status("1.2.4", "skipped"), {}, [])).is_delivered
    assert not outcome(good, Measured(status("1.2.4", "rejected"), {}, [])).is_delivered
    assert not outcome(Measured(status("1.2.4", "skipped"), {}, [])).is_delivered


def test_each_step_says_when_with_its_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    def begun(_folder: Path, _dicom_dir: Path | None, report: Report) -> Outcome:
        report("sending 5 images")
        raise DemoFailed("far enough")

    monkeypatch.setattr(demo, "run", begun)
    said = run("demo", TZ="Asia/Kolkata").stderr
    assert re.search(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+05:30 sending 5 images$", said, re.MULTILINE), said
