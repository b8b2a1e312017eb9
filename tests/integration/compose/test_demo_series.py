"""The demo with a folder of two series: each is followed to its end."""

import json
from pathlib import Path

from typer.testing import CliRunner

from compose import command_line
from tests.support.ct import TinyCT
from worker.phantom.chest_ct import PhantomSpec, render
from worker.phantom.dicom_series import PhantomIdentity, write_series


def test_a_folder_of_two_series_gives_two_rows(tmp_path: Path) -> None:
    spec = PhantomSpec(seed=5, shape=(64, 192, 192), spacing_mm=(4.3, 1.9, 1.9), extent_pct=20.0)
    write_series(render(spec), tmp_path / "ct" / "chest", PhantomIdentity())
    TinyCT().write(tmp_path / "ct" / "ramp")
    done = CliRunner().invoke(
        command_line.app, ["demo", "--dicom", str(tmp_path / "ct"), "--out", str(tmp_path / "out"), "--json"]
    )
    told = json.loads(done.stdout)
    assert sorted((one["state"], one["code"]) for one in told["series"]) == [
        ("delivered", None),
        ("rejected", "not_chest"),
    ]
    assert done.exit_code == 1
