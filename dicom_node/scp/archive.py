"""A small archive: it takes every storage class and keeps one file per SOP instance. It is the demo's PACS."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from uuid import uuid4

from pydicom import dcmread
from pynetdicom import AllStoragePresentationContexts, evt

from dicom_node.errors import UNPARSEABLE, UnreadableInstance
from dicom_node.scp.listener import Address, Listener
from dicom_node.spool.image import check_uid

UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


class Archive:
    """A running archive below a folder; a context manager that stops it at the end.

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
        except (*UNPARSEABLE, UnreadableInstance):
            return UnreadableInstance.status
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{uuid4().hex}.part")
        part.write_bytes(content)
        part.replace(path)
        return 0x0000

    def _path(self, content: bytes) -> Path:
        header = dcmread(BytesIO(content), stop_before_pixels=True, specific_tags=list(UIDS))
        study, series, instance = (str(header[keyword].value) for keyword in UIDS)
        for uid in (study, series, instance):
            check_uid(uid)
        return self._folder / study / series / f"{instance}.dcm"

    def __enter__(self) -> "Archive":
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.stop()
