"""rsyslog with one output file, a JSON object a message, by TLS or in datagrams."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import rnc2rng
from lxml import etree

from db.tls_profile import TlsFiles
from tests.support import REPOSITORY, services

SCHEMA = REPOSITORY / "tests" / "support" / "audit_message.rnc"
TEMPLATE = """
template(name="parts" type="list" option.jsonf="on") {
    property(outname="pri" name="pri" format="jsonf")
    property(outname="app" name="app-name" format="jsonf")
    property(outname="msgid" name="msgid" format="jsonf")
    property(outname="protocol" name="protocol-version" format="jsonf")
    property(outname="msg" name="msg" format="jsonf")
}
"""


@dataclass(frozen=True)
class SyslogServer:
    """A running server."""

    port: int
    file: Path

    def messages(self) -> list[dict[str, Any]]:
        """Return what it took, in its order."""
        if not self.file.exists():
            return []
        taken = [json.loads(line) for line in self.file.read_text(encoding="utf-8").splitlines()]
        return [one for one in taken if one["app"] != "probe"]

    def documents(self) -> list[etree._Element]:
        """Return the XML of each message, once it is valid by the schema."""
        return [validated(str(one["msg"])) for one in self.messages()]


@contextmanager
def running(folder: Path, port: int, tls: TlsFiles | None) -> Iterator[SyslogServer]:
    """Run it for the length of the block."""
    folder.mkdir(exist_ok=True)
    taken = folder / "messages.json"
    (folder / "rsyslog.conf").write_text(
        f'global(workDirectory="{folder}" maxMessageSize="64k"{_files(tls)})\n'
        f'{_door(port, tls)}\n{TEMPLATE}\naction(type="omfile" file="{taken}" template="parts" flushOnTXEnd="on")\n'
    )
    command = [services.program("rsyslogd"), "-n", "-f", str(folder / "rsyslog.conf"), "-i", str(folder / "pid")]
    with services.running(command, folder / "rsyslog.log"):
        ready = partial(services.port_answers, port) if tls else partial(_takes_datagrams, port, taken)
        services.wait_until(ready, what="rsyslog")
        yield SyslogServer(port, taken)


def _takes_datagrams(port: int, taken: Path) -> bool:
    with socket.socket(type=socket.SOCK_DGRAM) as plain:
        plain.sendto(b"<85>1 - - probe - - - probe", ("127.0.0.1", port))
    return taken.exists() and taken.stat().st_size > 0


def _files(tls: TlsFiles | None) -> str:
    if tls is None:
        return ""
    services.library("lmnsd_ossl.so")
    files = {"CAFile": tls.authority, "CertFile": tls.certificate, "KeyFile": tls.key}
    return ' defaultNetstreamDriver="ossl"' + "".join(
        f' defaultNetstreamDriver{name}="{path}"' for name, path in files.items()
    )


def _door(port: int, tls: TlsFiles | None) -> str:
    if tls is None:
        return f'module(load="imudp")\ninput(type="imudp" address="127.0.0.1" port="{port}")'
    driver = 'streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="x509/certvalid"'
    return f'module(load="imtcp" {driver})\ninput(type="imtcp" address="127.0.0.1" port="{port}")'


def validated(text: str) -> etree._Element:
    """Return the XML of a message. Raises DocumentInvalid where its structure is wrong."""
    schema = etree.RelaxNG(etree.fromstring(rnc2rng.dumps(rnc2rng.load(str(SCHEMA))).encode()))
    document = etree.fromstring(text.removeprefix("\N{BYTE ORDER MARK}").encode())
    schema.assertValid(document)
    return document
