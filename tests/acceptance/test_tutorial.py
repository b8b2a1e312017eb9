"""The tutorial, typed as its reader types it."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import REPOSITORY, services
from worker.phantom.chest_ct import PhantomSpec, render
from worker.phantom.dicom_series import PhantomIdentity, write_series

TUTORIAL = REPOSITORY / "docs" / "tutorial" / "a-first-result.md"


def commands() -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", TUTORIAL.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines()]


@pytest.mark.timeout(600)
def test_the_tutorial_comes_to_its_result(tmp_path: Path) -> None:
    ports = {name: str(services.free_port()) for name in ("DICOM_NODE_PORT", "MONITOR_PORT", "STATUS_PAGE_PORT")}
    # The tutorial waits as a site does; a test may not.
    quick = {"DICOM_NODE_QUIET_S": "2", "DICOM_NODE_STUDY_WAIT_S": "0"}
    # As an activated environment has it.
    environ = os.environ | ports | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def typed(line: str) -> str:
        here = line.replace(":11112", f":{ports['DICOM_NODE_PORT']}")
        said = subprocess.run(
            ["bash", "-c", here], check=False, cwd=tmp_path, env=environ, capture_output=True, text=True
        )
        assert said.returncode == 0, (line, said.stdout, said.stderr)
        return said.stdout

    # What `make demo` leaves: a smaller chest of the same kind.
    spec = PhantomSpec(seed=11, shape=(48, 192, 192), spacing_mm=(5.7, 1.9, 1.9), extent_pct=25.0)
    write_series(render(spec), tmp_path / "scleroscan-demo" / "20260101-120000" / "dicom", PhantomIdentity())
    results = tmp_path / "scleroscan-site" / "results"
    first, *others = commands()
    assert first == "scleroscan up"
    assert len(others) == 6
    with services.running(shlex.split(first), tmp_path / "site.log", cwd=tmp_path, env=environ | quick):
        services.wait_until(lambda: services.port_answers(int(ports["DICOM_NODE_PORT"])), 150, "the listener")
        for line in others[:2]:
            typed(line)
        services.wait_until(lambda: len(list(results.rglob("*.dcm"))) == 4, 240, "the result")
        services.wait_until(
            lambda: json.loads(typed("scleroscan status --json"))[0]["state"] == "encoded", 60, "its row"
        )
        said = [typed(line) for line in others[2:]]
    assert "total" in said[0]
    assert "encoded" in said[1]
    assert "password" in said[-1]
