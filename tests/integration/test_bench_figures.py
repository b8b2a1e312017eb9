"""The benchmark's own figures: memory is a process's own, and no table is cut off."""

import subprocess
import sys

import pytest

from tests.bench import figures
from tests.support import REPOSITORY

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
