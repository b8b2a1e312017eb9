"""An archive that is asked by C-FIND how many instances a series has, and holds nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pydicom import Dataset
from pynetdicom import AE, evt

from dicom_node.retrieve.source import STUDY_ROOT_FIND

PENDING, SUCCESS = 0xFF00, 0x0000


@contextmanager
def archive(number: Callable[[], int | None]) -> Iterator[int]:
    """An archive that answers C-FIND with a number of instances, or with no match."""

    def find(_event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        match = Dataset()
        match.QueryRetrieveLevel, match.NumberOfSeriesRelatedInstances = "SERIES", number()
        if match.NumberOfSeriesRelatedInstances is not None:
            yield PENDING, match
        yield SUCCESS, None

    entity = AE("PACS")
    entity.add_supported_context(STUDY_ROOT_FIND)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, find)])
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
