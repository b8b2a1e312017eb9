"""Listeners as the command runs them, in processes of their own, for tests that ask them what they take."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext

from dicom_node.answers import KEPT_FOR_WHO_ASKED
from tests.support import node_forks, services

OURS = "SCLEROSCAN"


@contextmanager
def listener(folder: Path, site: str = "", **settings: Any) -> Iterator[int]:
    """Run a listener with a site file and fields of NodeSettings; yield its port."""
    folder.mkdir(exist_ok=True)
    port = services.free_port()
    fields: dict[str, Any] = {"host": "127.0.0.1", "port": port, "spool_dir": folder / "spool"}
    fields |= {"min_free_mb": 0, "low_free_mb": 0} | settings
    if site:
        fields["site_file"] = folder / "site.toml"
        fields["site_file"].write_text(site)
    words = ["listener", "none", "memory://", json.dumps(fields, default=str)]
    with services.ended(node_forks.start(words, folder / "listener.log")):
        services.wait_until(lambda: services.port_answers(port), 60, "the listener")
        yield port


def associate(
    port: int, contexts: list[PresentationContext], calling: str = "SCANNER", called: str = OURS, **options: Any
) -> Association:
    """Ask for an association and return it, whatever the answer was."""
    return AE(calling).associate(
        "127.0.0.1", port, contexts=contexts, ae_title=called, evt_handlers=[KEPT_FOR_WHO_ASKED], **options
    )
