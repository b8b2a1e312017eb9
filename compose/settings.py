"""All settings of a site, read once from the environment, with misspelt names found out."""

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic_settings import BaseSettings

from compose.errors import MisspeltSetting
from db.settings import DbSettings
from dicom_node.settings import NodeSettings
from worker.settings import WorkerSettings

CLASSES: tuple[type[BaseSettings], ...] = (DbSettings, NodeSettings, WorkerSettings)
LIKENESS = 0.75


@dataclass(frozen=True)
class SiteSettings:
    """The settings of the three packages."""

    db: DbSettings
    node: NodeSettings
    worker: WorkerSettings

    @property
    def db_url(self) -> str:
        """The database URL with its password: for opening, never for printing."""
        return self.db.url.get_secret_value()


def load(environ: Mapping[str, str] = os.environ) -> SiteSettings:
    """Read the settings.

    Raises
    ------
    MisspeltSetting
        A name is close to a setting's, but not it.
    pydantic.ValidationError
        A value is out of its bounds.
    """
    known = setting_names()
    for name in sorted(environ):
        if name in known or not name.startswith(tuple(prefixes())):
            continue
        nearest = difflib.get_close_matches(name, known, n=1, cutoff=LIKENESS)
        if nearest:
            raise MisspeltSetting(f"{name} is no setting of Scleroscan; did you mean {nearest[0]}?")
    return SiteSettings(DbSettings(), NodeSettings(), WorkerSettings())


def prefixes() -> list[str]:
    """Return the prefixes of the environment variables: ``DB_``, ``DICOM_NODE_``, ``WORKER_``."""
    return [str(cls.model_config["env_prefix"]) for cls in CLASSES]


def setting_names() -> dict[str, str]:
    """Return every environment variable that is a setting, with its description."""
    return {
        f"{cls.model_config['env_prefix']}{field}".upper(): info.description or ""
        for cls in CLASSES
        for field, info in cls.model_fields.items()
    }
