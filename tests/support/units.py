"""The units for systemd, as it reads them, with the command of this environment."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support import REPOSITORY, services

SYSTEMD = REPOSITORY / "compose" / "systemd"
INSTALLED = "/opt/scleroscan/bin/scleroscan"


def files() -> list[Path]:
    """Return the units that run our command."""
    return sorted(SYSTEMD.glob("*.service"))


def values(file: Path, key: str) -> list[str]:
    """Return the values of a key, in their order."""
    return re.findall(rf"^{key}=(.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)


def copied(folder: Path) -> Path:
    """Copy the units, so that their command is one of this machine."""
    units = folder / "units"
    shutil.copytree(SYSTEMD, units)
    command = str(Path(sys.executable).with_name("scleroscan"))
    for unit in units.glob("*.service"):
        unit.write_text(unit.read_text(encoding="utf-8").replace(INSTALLED, command))
    return units


def analysed(units: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze on the units of a folder."""
    # The colon at the end: systemd's own units too.
    environ = os.environ | {"SYSTEMD_UNIT_PATH": f"{units}:"}
    command = [services.program("systemd-analyze"), *words]
    return subprocess.run(
        command, check=False, cwd=units, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
