"""A hospital's software phones nobody: no name is looked up, no host is called, nothing is left in the home folder."""

import json
import os
import subprocess
import sys
from pathlib import Path

CALLS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.connect", "socket.sendto")
LOAD_AND_RUN = f"""
import json, sys
called = []
sys.addaudithook(lambda name, facts: called.append([name, str(facts[-1])]) if name in {CALLS} else None)
import torch
from worker.analysis.patterns import model
from worker.settings import PACKAGED_WEIGHTS
loaded = model.load(PACKAGED_WEIGHTS, "cpu", "openvino")
loaded.engine(torch.zeros(1, 3, 64, 64))
json.dump({{"engine": loaded.engine.name, "called": called}}, sys.stdout)
"""


def test_loading_the_model_calls_no_host_and_writes_no_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if name not in {"CI", "TF_BUILD", "JENKINS_URL"}}
    environ = kept | {"HOME": str(home)}
    run = subprocess.run([sys.executable, "-c", LOAD_AND_RUN], check=True, capture_output=True, text=True, env=environ)
    assert json.loads(run.stdout) == {"engine": "openvino", "called": []}
    assert [str(path.relative_to(home)) for path in home.rglob("*")] == []
