"""Addresses of DICOM application entities, as settings, the site file and rows of deliveries write them."""

import re
import ssl
from dataclasses import dataclass, replace

from db.errors import BadAddress
from db.tls_profile import TlsFiles, client_context

FORM = re.compile(r"(?P<ae_title>[^@/]{1,16})@(?P<host>\[[0-9a-fA-F:]+\]|[^:/@\s]+):(?P<port>\d{1,5})")
# PS3.5 6.2: an AE title is printable ASCII without backslash, and not blank.
AE_TITLE = r"[ -\[\]-~]*[!-\[\]-~][ -\[\]-~]*"
SCHEME, SECURE_SCHEME = "dicom://", "dicom+tls://"
# What stands before the @ of a DICOM address is an AE title; in every other URL it is a name and a password.
# Those of our own examples stay.
LOGIN = re.compile(r"(?<!dicom)(?<!dicom\+tls)://(?!user:password@|:PASSWORD@)[^\s\"']+@")
SECRET_PARAMETER = re.compile(r"([?&][^=&\s]*(?:token|password|secret|key|sig)[^=&\s]*=)[^&\s\"']+", re.IGNORECASE)


def hide_secrets(text: str) -> str:
    """Return text with the logins and secret parameters of all URLs in it as ``***``."""
    return SECRET_PARAMETER.sub(r"\1***", LOGIN.sub("://***@", text))


@dataclass(frozen=True)
class ApplicationEntity:
    """A DICOM application entity: its AE title, where it listens, and whether it has to be called by TLS."""

    ae_title: str
    host: str
    port: int
    secure: bool = False
    tls: TlsFiles | None = None

    @classmethod
    def parse(cls, text: str) -> "ApplicationEntity":
        """Read ``AET@host:port``. Raises BadAddress where it is not of that form."""
        found = FORM.fullmatch(text)
        if found is None or not re.fullmatch(AE_TITLE, found["ae_title"]):
            raise BadAddress(f"{text} is no application entity: write it as AET@host:port, as PACS@10.0.0.5:104")
        port = int(found["port"])
        if not 0 < port < 65536:
            raise BadAddress(f"{text}: a port lies between 1 and 65535")
        return cls(found["ae_title"], found["host"].strip("[]"), port)

    @classmethod
    def parse_url(cls, url: str) -> "ApplicationEntity":
        """Read ``dicom://AET@host:port``, or ``dicom+tls://``. Raises BadAddress where it is not of that form."""
        if url.startswith(SECURE_SCHEME):
            return replace(cls.parse(url.removeprefix(SECURE_SCHEME)), secure=True)
        if not url.startswith(SCHEME):
            raise BadAddress(f"{url} is no DICOM address: write dicom://AET@host:port, as dicom://PACS@10.0.0.5:104")
        return cls.parse(url.removeprefix(SCHEME))

    def called_with(self, tls: TlsFiles | None) -> "ApplicationEntity":
        """Return the entity with the files to call it by. Raises BadAddress where it needs TLS and there are none."""
        if self.secure and tls is None:
            raise BadAddress(f"{SECURE_SCHEME}{self} is called by TLS, and no certificate of ours is named for it")
        return replace(self, tls=tls if self.secure else None)

    def tls_arguments(self) -> tuple[ssl.SSLContext, str] | None:
        """Return what pynetdicom needs to call the entity by TLS; None where it is called in the clear."""
        return (client_context(self.tls), self.host) if self.tls else None

    def __str__(self) -> str:
        return f"{self.ae_title}@{self.host}:{self.port}"
