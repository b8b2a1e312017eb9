"""Settings in files: a folder that holds one file a setting, named as its variable, as Docker, Kubernetes and systemd
hand over secrets."""

import os
from collections.abc import Mapping
from pathlib import Path

from compose.errors import UnusableSetting

FOLDER = "SCLEROSCAN_SETTINGS_DIR"


def folder(environ: Mapping[str, str], known: Mapping[str, str]) -> Path | None:
    """Return the folder; None where the environment names none.

    Raises
    ------
    UnusableSetting
        It is no folder, or a file of a setting in it cannot be read.
    """
    if not environ.get(FOLDER):
        return None
    named = Path(environ[FOLDER])
    if not named.is_dir():
        raise UnusableSetting(f"{FOLDER}={named} is no folder")
    for name in names(named):
        file = named / name
        if name.upper() in known and not (file.is_file() and os.access(file, os.R_OK)):
            raise UnusableSetting(f"{name.upper()}: {file} is no file that can be read")
    return named


def names(named: Path | None) -> list[str]:
    """Return the names of the files in the folder."""
    return sorted(file.name for file in named.iterdir()) if named else []
