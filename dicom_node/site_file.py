"""The site file: what does not fit into environment variables, as one readable TOML file."""

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dicom_node.errors import BadSetting
from dicom_node.scp.access_control import Peer
from dicom_node.series.rules import Routing


class SiteFile(BaseModel):
    """Known senders, and which series are analysed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    peer: tuple[Peer, ...] = Field((), description="Known senders; none: whoever calls our AE title")
    routing: Routing = Routing()


def load(path: Path | None) -> SiteFile:
    """Read the site file; return the defaults where a site has none.

    Raises
    ------
    BadSetting
        The file is missing, is no TOML, or has a line that makes no sense; the message names it.
    """
    if path is None:
        return SiteFile()
    try:
        return SiteFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadSetting(f"the site file {path} cannot be read: {error}") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise BadSetting(f"the site file {path}: {faults}") from error
