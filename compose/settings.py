"""All settings of a site, read once from the environment and from files, with misspelt names found out."""

import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from compose import faults, setting_files
from compose.errors import MisspeltSetting, UnusableSetting
from compose.monitor.settings import MonitorSettings
from compose.status_page.settings import StatusPageSettings
from db.address import hide_secrets
from db.errors import BadAddress
from db.settings import DbSettings
from dicom_node.settings import NodeSettings
from worker import destinations
from worker.settings import WorkerSettings

CLASSES: tuple[type[BaseSettings], ...] = (
    DbSettings,
    NodeSettings,
    WorkerSettings,
    MonitorSettings,
    StatusPageSettings,
)
# Of the command itself; typer reads it.
OWN_PREFIX = "SCLEROSCAN_"
SHOW_PATIENTS = f"{OWN_PREFIX}SHOW_PATIENTS"
OWN = {
    f"{OWN_PREFIX}LOG_FORMAT": "Log lines for people (console) or machines (json)",
    SHOW_PATIENTS: "Whether `scleroscan status` may show PatientIDs (true), as its option --patients has it",
    setting_files.FOLDER: "Folder with a file for each setting that is not in the environment, named as its variable",
}
LIKENESS = 0.75


@dataclass(frozen=True)
class SiteSettings:
    """The settings of the three packages, of the monitor and of the status page."""

    db: DbSettings
    node: NodeSettings
    worker: WorkerSettings
    monitor: MonitorSettings = field(default_factory=MonitorSettings)
    status_page: StatusPageSettings = field(default_factory=StatusPageSettings)

    @property
    def has_status_page(self) -> bool:
        """Whether `scleroscan up` serves the status page: nobody could log in before there are accounts."""
        return bool(self.status_page.port) and self.status_page.accounts.is_file()

    @property
    def has_worklist(self) -> bool:
        """Whether the site file has a worklist whose items are performed; False where the file cannot be read."""
        try:
            return destinations.worklist(self.worker) is not None
        except BadAddress:
            return False

    @property
    def db_url(self) -> str:
        """The database URL with its password: for opening, never for printing."""
        return self.db.url.get_secret_value()


def load(environ: Mapping[str, str] = os.environ) -> SiteSettings:
    """Read the settings: the environment, then the files of the folder that it names.

    Raises
    ------
    MisspeltSetting
        A name is close to a setting's, but not it.
    UnusableSetting
        Values cannot be so; each is named, with a right one.
    """
    folder = setting_files.folder(environ, setting_names())
    _check_names([*environ, *setting_files.names(folder)])
    wrong = [sentence for settings in CLASSES for sentence in _wrong(settings, folder)]
    if wrong:
        raise UnusableSetting("; ".join(wrong))
    node, worker = NodeSettings(_secrets_dir=folder), WorkerSettings(_secrets_dir=folder)
    # One site file for all that is told by files, unless the worker has its own.
    own = worker if worker.site_file else worker.model_copy(update={"site_file": node.site_file})
    rest = MonitorSettings(_secrets_dir=folder), StatusPageSettings(_secrets_dir=folder)
    return SiteSettings(DbSettings(_secrets_dir=folder), node, own, *rest)


def _wrong(settings: type[BaseSettings], folder: Path | None) -> list[str]:
    try:
        settings(_secrets_dir=folder)
    except ValidationError as error:
        return faults.sentences(settings, error)
    return []


def _check_names(names: Iterable[str]) -> None:
    known = setting_names()
    for name in sorted(names):
        if name in known or not name.startswith(tuple(prefixes())):
            continue
        nearest = difflib.get_close_matches(name, known, n=1, cutoff=LIKENESS)
        if nearest:
            raise MisspeltSetting(f"{name} is no setting of Scleroscan; did you mean {nearest[0]}?")


def prefixes() -> list[str]:
    """Return the prefixes of the environment variables, as ``DB_``; the last is ``SCLEROSCAN_``."""
    return [*(str(settings.model_config["env_prefix"]) for settings in CLASSES), OWN_PREFIX]


def setting_values(site: SiteSettings) -> dict[str, str]:
    """Return the value of each setting as text; of a secret only that there is one."""
    values = {
        faults.variable(type(package), field): _shown(getattr(package, field))
        for package in (site.db, site.node, site.worker, site.monitor, site.status_page)
        for field in type(package).model_fields
    }
    return values | {faults.variable(DbSettings, "url"): hide_secrets(site.db_url)}


def _shown(value: object) -> str:
    if value is None or value == ():
        return "–"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def setting_names() -> dict[str, str]:
    """Return every environment variable that is a setting, with its description."""
    of_packages = {
        faults.variable(settings, field): known.description or ""
        for settings in CLASSES
        for field, known in settings.model_fields.items()
    }
    return of_packages | OWN
