"""The site file: what does not fit into environment variables, as one readable TOML file."""

import tomllib
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from db import fault_words
from dicom_node.errors import BadSetting
from dicom_node.scp.access_control import Peer
from dicom_node.series.rules import Routing
from dicom_node.settings import NodeSettings


class SiteFile(BaseModel):
    """Known senders, and which series are analysed. What the worker reads in the same file is passed over."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    peer: tuple[Peer, ...] = Field((), description="Known senders; none: whoever calls our AE title")
    routing: Routing = Routing()
    destination: tuple[dict[str, Any], ...] = Field((), description="Read by the worker, which checks it")
    worklist: dict[str, Any] | None = Field(None, description="Read by the performer, which checks it")


EVERYWHERE, LOOPBACK = "0.0.0.0", "127.0.0.1"  # noqa: S104  only where peers are listed, or the setting says open


def host(settings: NodeSettings, site: SiteFile) -> str:
    """Return the address to listen on: this machine's own alone, unless peers are listed or the settings say so."""
    return settings.host or (EVERYWHERE if site.peer or settings.open else LOOPBACK)


def is_open(settings: NodeSettings, site: SiteFile) -> bool:
    """Whether anybody on the network may send: no peer is listed, no certificate asked for, and it can be reached."""
    return not (site.peer or settings.tls_client_ca or is_loopback(host(settings, site)))


def is_loopback(address: str) -> bool:
    """Whether only programs of this machine can call an address."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


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
        raise BadSetting(f"the site file {path}: {fault_words.of_file(error)}") from error
