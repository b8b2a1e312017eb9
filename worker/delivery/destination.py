"""Where results go: ``dicom://AET@host:port``."""

import re
from dataclasses import dataclass

from worker.errors import PeerRefused

FORM = re.compile(r"dicom://(?P<ae_title>[^@/]{1,16})@(?P<host>\[[0-9a-fA-F:]+\]|[^:/@\s]+):(?P<port>\d{1,5})")


@dataclass(frozen=True)
class Destination:
    """A DICOM application entity to send to."""

    ae_title: str
    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> "Destination":
        """Read a destination's URL.

        Raises
        ------
        PeerRefused
            ``bad_destination``: it is not of the form ``dicom://AET@host:port``.
        """
        found = FORM.fullmatch(url)
        # PS3.5 6.2: an AE title is printable ASCII without backslash, and not blank.
        if found is None or not re.fullmatch(r"[ -\[\]-~]*[!-\[\]-~][ -\[\]-~]*", found["ae_title"]):
            raise PeerRefused(
                f"{url} is no destination: write it as dicom://AET@host:port, as dicom://PACS@10.0.0.5:104",
                code="bad_destination",
            )
        port = int(found["port"])
        if not 0 < port < 65536:
            raise PeerRefused(f"{url}: a port lies between 1 and 65535", code="bad_destination")
        return cls(found["ae_title"], found["host"].strip("[]"), port)

    def __str__(self) -> str:
        return f"{self.ae_title}@{self.host}:{self.port}"
