"""An archive that takes every context it is offered, notes what was proposed, and answers as it is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydicom import Dataset
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, evt

ROLE_OF_THE_ASKED = {"scu_role": False, "scp_role": True}


@dataclass
class RecordingArchive:
    """Its port, the status it answers to C-STORE, and what the last association proposed.

    ``contexts`` are pairs (abstract syntax, transfer syntaxes), ``roles`` the classes for which a role was proposed.
    """

    port: int = 0
    status: int = 0x0000
    contexts: list[tuple[str, list[str]]] = field(default_factory=list)
    roles: dict[str, tuple[bool, bool]] = field(default_factory=dict)
    max_pdu: int = 0
    queries: list[Dataset] = field(default_factory=list)

    def requested(self, event: evt.Event) -> None:
        """Note what is proposed."""
        asked = event.assoc.requestor
        self.contexts = [
            (str(one.abstract_syntax), list(map(str, one.transfer_syntax))) for one in asked.requested_contexts
        ]
        self.roles = {str(uid): (role.scu_role, role.scp_role) for uid, role in asked.role_selection.items()}
        self.max_pdu = asked.maximum_length

    def found(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        """Answer C-FIND with one series."""
        self.queries.append(event.identifier)
        match = Dataset()
        match.QueryRetrieveLevel, match.SeriesInstanceUID = "SERIES", "1.2.3.4"
        match.NumberOfSeriesRelatedInstances = 1
        yield 0xFF00, match

    def refused(self, event: evt.Event) -> Iterator[Any]:
        """Answer C-GET with no image."""
        self.queries.append(event.identifier)
        yield 0


@contextmanager
def archive(classes: list[str]) -> Iterator[RecordingArchive]:
    """Run the archive for the length of the block; ``classes`` are those it takes."""
    one = RecordingArchive()
    entity = AE("PACS")
    for sop_class in classes:
        entity.add_supported_context(sop_class, ALL_TRANSFER_SYNTAXES, **ROLE_OF_THE_ASKED)
    handlers = [
        (evt.EVT_REQUESTED, one.requested),
        (evt.EVT_C_STORE, lambda _event: one.status),
        (evt.EVT_C_ECHO, lambda _event: 0x0000),
        (evt.EVT_C_FIND, one.found),
        (evt.EVT_C_GET, one.refused),
    ]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    one.port = int(server.server_address[1])
    try:
        yield one
    finally:
        server.shutdown()
