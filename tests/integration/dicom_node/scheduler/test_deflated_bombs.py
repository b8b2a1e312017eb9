"""A deflated image that grows a thousandfold: neither the receiver nor the scheduler takes its memory."""

import zlib
from pathlib import Path

import psutil
from pydicom import Dataset
from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian
from pynetdicom import AE, build_context

from db.engine import open_database
from db.tables import Instance
from dicom_node.answers import KEPT_FOR_WHO_ASKED
from tests.support import databases, servers, services
from tests.support.node_senders import association, ct_slice, encoded, send

INFLATED = 400_000_000
MOST_MEMORY = 300_000_000
REFUSED, SUCCESS = 0xC000, 0x0000


def bomb(ds: Dataset, behind: bytes) -> bytes:
    """Deflate a data set with 400 MB of zeros behind the tag ``behind``."""
    start = encoded(ds)
    del_at = start.index(behind)
    deflater = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    element = b"\x11\x00\x10\x10OB\0\0" if behind != PIXELS else PIXELS + b"OW\0\0"
    pieces = [deflater.compress(start[:del_at] + element + INFLATED.to_bytes(4, "little"))]
    pieces += [deflater.compress(bytes(1_000_000)) for _ in range(INFLATED // 1_000_000)]
    rest = start[del_at:] if behind != PIXELS else b""
    return b"".join([*pieces, deflater.compress(rest), deflater.flush()])


STUDY, PIXELS = b"\x20\x00\x0d\x00UI", b"\xe0\x7f\x10\x00"


def send_deflated(port: int, content: bytes, sop_uid: str) -> int:
    """Send bytes as a deflated data set and return the status of the answer."""
    contexts = [build_context(CTImageStorage, DeflatedExplicitVRLittleEndian)]
    opened = AE("SCANNER").associate(
        "127.0.0.1", port, contexts, ae_title="SCLEROSCAN", evt_handlers=[KEPT_FOR_WHO_ASKED]
    )
    try:
        return send(opened, content, sop_uid)
    finally:
        opened.release()


def peak(pid: int) -> int:
    """Return the most memory that a process ever held, bytes."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def test_a_deflated_bomb_takes_no_memory_on_either_side(tmp_path: Path) -> None:
    url = databases.sqlite(tmp_path / "scleroscan.db")
    settings = servers.node_settings(tmp_path, receivers=1)
    listener, scheduler = (
        servers.listener(tmp_path, settings),
        servers.scheduler(tmp_path, settings, url, "memory://"),
    )
    listener.start()
    scheduler.start()
    try:
        header, pixels, sound = ct_slice(0), ct_slice(1), ct_slice(2)
        assert send_deflated(settings.port, bomb(header, STUDY), header.SOPInstanceUID) == REFUSED
        assert send_deflated(settings.port, bomb(pixels, PIXELS), pixels.SOPInstanceUID) == SUCCESS
        with association(settings.port) as opened:
            assert send(opened, encoded(sound), sound.SOPInstanceUID) == SUCCESS
        services.wait_until(lambda: registered(url) == 2, 60, "the rows of the images behind the bomb")
        (receiver,), recorder = listener.children(), scheduler.process
        assert recorder is not None
        assert peak(receiver) < MOST_MEMORY
        assert max(map(peak, family(recorder.pid))) < MOST_MEMORY
    finally:
        listener.stop()
        scheduler.stop()


def family(pid: int) -> list[int]:
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


def registered(url: str) -> int:
    sessions = open_database(url)
    with sessions.begin() as session:
        count = session.query(Instance).count()
    sessions.kw["bind"].dispose()
    return count
