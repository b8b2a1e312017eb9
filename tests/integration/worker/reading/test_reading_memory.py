"""The longest series that scanners make is read within 2 GB."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from pydicom.uid import RLELossless

from tests.support import ct_files

SLICES = 1500
READ = """
import json, sys
from pathlib import Path
from worker.reading import series
volume = series.read(sorted(Path(sys.argv[1]).iterdir())).volume
# ru_maxrss would begin with what the parent held when it forked.
status = Path("/proc/self/status").read_text()
peak_mb = int(status.partition("VmHWM:")[2].split()[0]) / 1000
json.dump({"shape": volume.hu.shape, "last": int(volume.hu[-1, -1, -1]), "peak_mb": peak_mb}, sys.stdout)
"""


def test_fifteen_hundred_slices_are_read_within_two_gigabytes(tmp_path: Path) -> None:
    (ds,) = ct_files.slices(ct_files.Scan(shape=(1, 16, 24)))
    ct_files.store(ds, np.full((512, 512), 40))
    ct_files.write_one(tmp_path / "0000.dcm", ds, RLELossless)
    for number in range(1, SLICES):
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{ct_files.SERIES_UID}.{number + 1}"
        ds.ImagePositionPatient = ct_files.decimals((-12, -11, -130 + 0.25 * number))
        ds.save_as(tmp_path / f"{number:04d}.dcm", enforce_file_format=True)
    command = [sys.executable, "-c", READ, str(tmp_path)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert (found["shape"], found["last"]) == ([SLICES, 512, 512], 40)
    # The volume itself takes 786 MB.
    assert 786 < found["peak_mb"] < 2000
