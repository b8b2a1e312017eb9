"""A site that delivers to Orthanc, whose workers can be killed; Orthanc notes each time that it stores an object."""

import json
import random
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from PIL import Image
from pydicom import Dataset, dcmread
from sqlalchemy.orm import Session, sessionmaker

from db import schema, tracking
from db.engine import open_database
from db.tracking import JobResults, LeaseTerms, OutputFile
from tests.support import results, servers, services, site_rows
from tests.support.ct import TinyCT
from worker.results import files, page_object
from worker.settings import WorkerSettings

KINDS = ("seg", "sr", "page")
# The reports of storage commitment would come to a listener, which is not what is tried here.
SITE = '[[destination]]\nurl = "{url}"\nproof = "query"\n'
NOTE_STORED = """
function OnStoredInstance(id, tags)
    local file = io.open({path}, "a")
    file:write(tags["SOPInstanceUID"], "\\n")
    file:close()
end
"""


class DeliveringSite:
    """Rows, files of results, and what delivers them.

    Parameters
    ----------
    folder
        For everything that is written.
    archive
        Where results go.
    couriers
        How many workers deliver.
    """

    def __init__(self, folder: Path, archive: services.Orthanc, couriers: int) -> None:
        self.archive, self._results = archive, folder / "results"
        (folder / "postgres").mkdir()
        self._database, db_url = servers.postgres(folder / "postgres")
        self._broker, broker_url = servers.broker(folder)
        (folder / "site.toml").write_text(SITE.format(url=archive.destination))
        own = {"results_dir": self._results, "site_file": folder / "site.toml", "broker_url": broker_url}
        settings = WorkerSettings(delivery_retry_s=0.2, proof_wait_s=0.2, **own)
        node = servers.node_settings(folder, renotify_s=2.0)
        self._scheduler = servers.scheduler(folder, node, db_url, broker_url)
        homes = [folder / f"courier-{number}" for number in range(couriers)]
        for home in homes:
            home.mkdir()
        self._couriers = [servers.courier(home, settings, db_url) for home in homes]
        self._database.start()
        schema.upgrade(db_url)
        self.sessions: sessionmaker[Session] = open_database(db_url)
        self._objects = dict(zip(KINDS, _objects(), strict=True))
        self.files: dict[str, Path] = {}
        self.start()

    def start(self) -> None:
        """Start what does not run."""
        for server in (self._broker, self._scheduler, *self._couriers):
            server.start()

    def kill(self, chance: random.Random) -> int:
        """Kill some of the couriers, and return how many."""
        killed = chance.sample(self._couriers, chance.randint(1, len(self._couriers)))
        for courier in killed:
            courier.kill()
        return len(killed)

    def stop(self) -> None:
        """End everything."""
        self.sessions.kw["bind"].dispose()
        for courier in self._couriers:
            courier.kill()
        for server in (self._scheduler, self._broker):
            server.stop()
        self._database.stop(signal.SIGINT)

    def open_job(self, number: int) -> None:
        """Have a job that has encoded its objects, due for the archive."""
        uid, now = f"1.2.826.0.1.3680043.2.9.{number}", datetime.now(UTC)
        written = [self._write(kind, f"{uid}.{place}") for place, kind in enumerate(KINDS, start=100)]
        outputs = tuple(OutputFile(one.kind, str(one.path), one.digest, one.sop_uid) for one in written)
        with self.sessions.begin() as session:
            site_rows.received(session, uid, f"P{number}", "CT1", now)
            job_id = tracking.open_job(session, uid, site_rows.IDENTITY, now)
            held = tracking.claim(session, job_id, "worker", LeaseTerms(60, 3), now)
            assert held is not None
            recipients = (tracking.Recipient(self.archive.destination, KINDS),)
            tracking.record_results(session, held, JobResults((), (), outputs), recipients, now)

    def _write(self, kind: str, sop_uid: str) -> files.WrittenFile:
        ds = self._objects[kind]
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = sop_uid
        written = files.write_object(self._results / sop_uid, kind, ds)
        self.files[sop_uid] = written.path
        return written


def _objects() -> tuple[Dataset, ...]:
    """Return SEG, SR and page of a tiny series, as read from files."""
    ct = TinyCT()
    disease, _, report = results.encoded(ct)
    drawn = [Image.effect_noise((256, 256), 60).convert("RGB") for _ in range(3)]
    made = disease, report, page_object.encode(results.source(ct), drawn)
    return tuple(dcmread(BytesIO(results.part10(one))) for one in made)


@contextmanager
def site(folder: Path, couriers: int = 2) -> Iterator[DeliveringSite]:
    """Run a site for the length of the block."""
    note, stored = folder / "note.lua", folder / "stored.txt"
    note.write_text(NOTE_STORED.format(path=json.dumps(str(stored))))
    stored.touch()
    with services.orthanc(folder / "orthanc", LuaScripts=[str(note)]) as archive:
        running = DeliveringSite(folder, archive, couriers)
        try:
            yield running
        finally:
            running.stop()


def times_stored(folder: Path) -> Counter[str]:
    """Return how often the archive stored each object, again where it had it already."""
    return Counter((folder / "stored.txt").read_text().split())
