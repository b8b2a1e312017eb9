"""The demo, as somebody new to the project runs it."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

# Of a site that stands on the same machine: the demo has nothing to do with it.
OF_A_SITE = '[[peer]]\nae_title = "CT1"\naddresses = ["10.1.2.3"]\n'


def test_the_demo_agrees_with_its_phantom(tmp_path: Path) -> None:
    site_file = tmp_path / "site.toml"
    site_file.write_text(OF_A_SITE)
    environ = os.environ | {"DICOM_NODE_SITE_FILE": str(site_file), "DICOM_NODE_WEB_PORT": "1"}
    command = [sys.executable, "-m", "scleroscan", "demo", "--json", "--out", str(tmp_path)]
    found = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=280)
    assert found.returncode == 0, found.stderr
    (told,) = json.loads(found.stdout)["series"]
    assert told["state"] == "delivered"
    assert abs(told["extent_pct"]["total"] - 20.0) < 5
    assert set(told["extent_pct"]) == {"total", "ggo", "reticulation", "consolidation"}
    assert {"read", "lungs", "patterns", "quantify", "encode", "deliver"} < set(told["seconds"])
    archived = {path.stem for path in tmp_path.rglob("archive/**/*.dcm")}
    assert archived > {told["seg_uid"], told["sr_uid"]}
    assert len(archived) == 4
    assert len(list(tmp_path.rglob("results/**/overlay.png"))) == 1
    (settings,) = tmp_path.rglob("site.env")
    names = {path.name for path in (settings.parent / "result").iterdir()}
    assert {"overlay.png", "page.dcm", "sr.dcm"} < names
    asked = f". {shlex.quote(str(settings))}; {shlex.quote(sys.executable)} -m scleroscan status --json"
    after = subprocess.run(["sh", "-euc", asked], capture_output=True, text=True, check=True)
    assert [one["state"] for one in json.loads(after.stdout)] == ["delivered"]
    assert (tmp_path / "phantom" / "truth.json").is_file()
