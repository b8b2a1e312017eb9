"""A small archive that takes every storage class and keeps one file for each SOP instance; the demo's PACS."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from pynetdicom import AllStoragePresentationContexts, evt

from dicom_node.errors import ReceiveError
from dicom_node.scp.listener import Address, Listener
from dicom_node.spool import part10


class Archive:
    """An archive that keeps its files below a folder; as a context manager it runs for the length of the block.

    Files lie at ``<study>/<series>/<instance>.dcm``; the same instance again replaces the earlier file.
    """

    def __init__(self, folder: Path, ae_title: str = "ARCHIVE", port: int = 0) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        classes = [context.abstract_syntax for context in AllStoragePresentationContexts]
        handlers = [(evt.EVT_C_STORE, self._store), (evt.EVT_C_ECHO, lambda _event: 0x0000)]
        self._listener = Listener(Address(ae_title, "127.0.0.1", port), handlers, [str(uid) for uid in classes])
        self.port = self._listener.port

    def instances(self) -> Iterator[Path]:
        """Yield the files kept."""
        yield from sorted(self._folder.rglob("*.dcm"))

    def _store(self, event: evt.Event) -> int:
        content = event.encoded_dataset()
        try:
            path = self._path(content)
        except ReceiveError as error:
            return error.status
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{uuid4().hex}.part")
        part.write_bytes(content)
        part.replace(path)
        return 0x0000

    def _path(self, content: bytes) -> Path:
        own = part10.read(content).identity()
        return self._folder / own.study_uid / own.series_uid / f"{own.sop_uid}.dcm"

    def __enter__(self) -> "Archive":
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.stop()
