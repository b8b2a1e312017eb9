"""What pydicom says of a value that is not as it should be repeats the value: no log line does."""

import subprocess
import sys

import pytest

WARN = """
from compose import logs
logs.configure(logs.LogFormat.{form})
from pydicom import Dataset
ds = Dataset()
ds.StudyDate = "CANARY\\x1b[31m"
ds.PatientID = "CANARY" * 20
ds.Modality = "canary"
"""


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_warning_of_pydicom_names_its_kind_and_no_value(form: str) -> None:
    run = subprocess.run([sys.executable, "-c", WARN.format(form=form)], check=True, capture_output=True, text=True)
    assert "CANARY" not in run.stdout + run.stderr
    assert run.stderr.count("UserWarning") >= 2
    assert all(line.isprintable() for line in run.stderr.splitlines())
