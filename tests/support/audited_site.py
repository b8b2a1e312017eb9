"""A site's rows after two months of work, as listener, scheduler, workers and operators leave them.

P1  measured by model 1, then by model 2, each delivered to two archives and committed by one of them
P2  refused: slices are missing
P3  in review, released by anna
P4  measured; the archive does not answer
P5  measured; the archive refused the objects
P6  skipped by a rule; anna looked at it on the status page
P7  came as PX, corrected by being sent again
P8  incomplete, never measured
P9  in review, discarded by bert
P10 late images: measured twice by model 1

A work item asked for P1's first result, and for P2, whose item was canceled.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.image_plane import ImagePlane
from db.states import DeliveryState
from db.tables import Delivery
from db.tracking import (
    AskedWork,
    Change,
    Claim,
    DueDelivery,
    ExamRow,
    Failure,
    FlagRow,
    JobIdentity,
    JobResults,
    LeaseTerms,
    MeasurementRow,
    ModelIdentity,
    OutputFile,
)
from tests.support.arrivals import arrivals

START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
FIRST, SECOND = JobIdentity("1" * 64, "s" * 64), JobIdentity("2" * 64, "s" * 64)
PACS, VNA = "dicom://PACS@10.0.0.5:104", "dicom://VNA@10.0.0.6:104"
TERMS = LeaseTerms(600, 3)
PLANE = ImagePlane((1, 0, 0, 0, 1, 0), (0, 0, -50), 512, 512)
EXAM = ExamRow("1.2", "20260102", "P", "", "PHANTOM^ONE", "19600101", "B70f", 1.0, False, "supine")
STAGES = {"read": 4, "lungs": 20, "patterns": 30, "quantify": 2, "encode": 4}
LASTS_S = sum(STAGES.values())


def uid(number: int) -> str:
    """Return the series of patient ``P<number>``."""
    return f"1.2.826.0.1.{number}"


@dataclass
class Site:
    """Does what the parts of a site do, at a time that only goes on."""

    sessions: sessionmaker[Session]
    now: datetime = START

    def wait(self, seconds: float) -> datetime:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)
        return self.now

    def receive(self, number: int, sender: str = "CT1", count: int = 3, close: bool = True, **changes: object) -> None:
        """Receive images and, 30 s later, close their series as complete."""
        one = arrivals(uid(number), count, **({"patient_id": f"P{number}", "plane": PLANE} | changes))
        sent = [replace(a, accession_number=f"A{number}", calling_ae=sender, received_at=self.now) for a in one]
        with self.sessions.begin() as session:
            tracking.register(session, sent, self.now)
        if close:
            with self.sessions.begin() as session:
                tracking.close_series(session, uid(number), "complete", "contiguous", {"slices": count}, self.wait(30))

    def claim(self, number: int, identity: JobIdentity = FIRST) -> Claim:
        """Open the job of a series, if there is none, and claim it ten seconds later."""
        with self.sessions.begin() as session:
            tracking.register_model(session, model(identity), self.now)
            job_id = tracking.open_job(session, uid(number), identity, self.now)
        with self.sessions.begin() as session:
            held = tracking.claim(session, job_id, "worker@ct", TERMS, self.wait(10))
        assert held is not None
        return held

    def compute(self, held: Claim) -> None:
        """Go through the stages, each as long as :data:`STAGES` says."""
        for stage, seconds in STAGES.items():
            with self.sessions.begin() as session:
                tracking.enter_stage(session, held, stage, self.now)
            self.wait(seconds)

    def measure(self, number: int, total_pct: float, to: Sequence[str] = (PACS,), identity: JobIdentity = FIRST) -> int:
        """Measure a series, and open the deliveries."""
        held = self.claim(number, identity)
        self.compute(held)
        with self.sessions.begin() as session:
            tracking.record_results(
                session, held, results(held.key, total_pct), [tracking.Recipient(one) for one in to], self.now
            )
        return held.job_id

    def review(self, number: int, total_pct: float) -> int:
        """Measure a series whose numbers no chest has."""
        held = self.claim(number)
        self.compute(held)
        failure = Failure("implausible_lung_volume", "the lungs hold 12 l", {"lung_volume_ml": 12000})
        with self.sessions.begin() as session:
            tracking.record_for_review(session, held, results(held.key, total_pct), failure, self.now)
        return held.job_id

    def send(self, job_id: int, destination: str = PACS) -> list[int]:
        """Send what is due; return the deliveries."""
        with self.sessions.begin() as session:
            due = tracking.pending(session, DueDelivery(job_id, destination), 60, self.wait(5))
        for one in due:
            with self.sessions.begin() as session:
                tracking.delivered(session, one.delivery_id, 0, Change("worker@ct", self.wait(1)))
        return [one.delivery_id for one in due]

    def commit(self, deliveries: Sequence[int]) -> None:
        """Note that the archive keeps the objects."""
        self.wait(60)
        for one in deliveries:
            with self.sessions.begin() as session:
                delivery = session.get_one(Delivery, one)
                delivery.committed_at = self.now
                tracking.move(session, delivery, DeliveryState.COMMITTED, Change("worker@ct", self.now))

    def perform(self, number: int, jobs: Sequence[int]) -> None:
        """Take the work item that asks for a series to its end: completed with the objects of jobs, else canceled."""
        asked = {"inputs": [{"series_uid": uid(number)}], "workitem": None}
        work = AskedWork(f"2.25.{number}", "https://his.example/rs", "Lungs", "PNEUMOLOGY", f"ORDER-{number}", asked)
        change = Change("performer@ct", self.wait(1))
        with self.sessions.begin() as session:
            tracking.take_workitem(session, work, f"2.25.9{number}", self.now)
            tracking.workitem_claimed(session, work.uid, True)
            tracking.workitem_here(session, work.uid, uid(number), change)
        with self.sessions.begin() as session:
            tracking.ask_to_cancel(session, work.uid, "not needed", change)
            if jobs:
                tracking.workitem_completes(session, work.uid, jobs, change)
            else:
                stopped = replace(change, code="missing_slices")
                tracking.workitem_cancels(session, work.uid, "1 slice is missing", stopped)
        with self.sessions.begin() as session:
            tracking.workitem_ended(session, work.uid, replace(change, now=self.wait(1)))

    def due(self, job_id: int) -> list[int]:
        """Take what is due for the archive."""
        with self.sessions.begin() as session:
            due = tracking.pending(session, DueDelivery(job_id, PACS), 60, self.wait(5))
        return [one.delivery_id for one in due]


def model(identity: JobIdentity) -> ModelIdentity:
    """Return the model of an identity."""
    number = identity.model_digest[0]
    return ModelIdentity(identity.model_digest, "ssc-ild-unet", number, {"name": "ssc-ild-unet", "patients": 9})


def results(key: str, total_pct: float) -> JobResults:
    """What a worker would have measured, with one doubt."""
    shares = {"total": 1.0, "ggo": 0.6, "reticulation": 0.3, "consolidation": 0.1}
    extents = [MeasurementRow(name, "both", "whole", "extent", total_pct * of, "%") for name, of in shares.items()]
    return JobResults(
        measurements=(MeasurementRow("lung", "both", "whole", "volume", 4000.0, "ml"), *extents),
        flags=(FlagRow("thick_slices", "slices are 5 mm thick", 5.0),),
        outputs=tuple(
            OutputFile(kind, f"{key}-{kind}.dcm", kind[0] * 64, f"2.25.{number}{int(key[:8], 16)}")
            for number, kind in ((1, "seg"), (2, "sr"))
        ),
        exam=EXAM,
    )


def fill(sessions: sessionmaker[Session]) -> None:
    """Do two months of work."""
    site = Site(sessions)
    site.receive(1)
    first = site.measure(1, 12.5, (PACS, VNA))
    site.commit(site.send(first))
    site.send(first, VNA)
    site.perform(1, [first])
    _refused_and_reviewed(site)
    site.perform(2, [])
    site.wait(86400 * 31)
    _troubled_deliveries(site)
    _never_measured(site)
    with sessions.begin() as session:
        tracking.measure(session, uid(1), SECOND, "operator:anna", site.wait(3600))
    second = site.measure(1, 20.0, (PACS, VNA), SECOND)
    site.commit(site.send(second))
    site.send(second, VNA)


def _refused_and_reviewed(site: Site) -> None:
    site.receive(2, "CT2")
    held = site.claim(2)
    with site.sessions.begin() as session:
        failure = Failure("missing_slices", "1 slice is missing", {"missing": 1})
        tracking.finish(session, held, "rejected", failure, site.wait(3))
    site.receive(3)
    odd = site.review(3, 45.0)
    with site.sessions.begin() as session:
        tracking.release(session, odd, (tracking.Recipient(PACS),), "operator:anna", site.wait(600))
    site.send(odd)
    site.receive(9)
    odd = site.review(9, 0.0)
    with site.sessions.begin() as session:
        tracking.discard(session, odd, "operator:bert", site.wait(600))


def _troubled_deliveries(site: Site) -> None:
    site.receive(4, "CT2")
    for one in site.due(site.measure(4, 5.0)):
        change = Change("worker@ct", site.wait(2), "peer_unreachable")
        with site.sessions.begin() as session:
            tracking.postpone(session, one, "no answer", site.now + timedelta(minutes=7), change)
    site.receive(5)
    for one in site.due(site.measure(5, 33.0)):
        with site.sessions.begin() as session:
            tracking.refuse(session, one, "out of resources", 0xA700, Change("worker@ct", site.wait(2), "peer_refused"))


def _never_measured(site: Site) -> None:
    site.receive(6, close=False)
    with site.sessions.begin() as session:
        tracking.skip_series(session, uid(6), tracking.NOT_ELIGIBLE, {"rule": "scouts"}, site.wait(30))
    with site.sessions.begin() as session:
        tracking.viewed(session, [uid(6)], "operator:anna@page", site.wait(60), "images and numbers")
    site.receive(7, patient_id="PX")
    with site.sessions.begin() as session:
        again = [replace(a, digest=a.digest.replace("0", "a", 1)) for a in arrivals(uid(7), patient_id="P7")]
        again = [replace(a, accession_number="A7", calling_ae="RIS", received_at=site.now) for a in again]
        tracking.register(session, again, site.now)
    with site.sessions.begin() as session:
        tracking.close_series(session, uid(7), "complete", "contiguous", {"slices": 3}, site.wait(30))
    site.send(site.measure(7, 8.0))
    site.receive(8, count=2, close=False)
    with site.sessions.begin() as session:
        tracking.close_series(session, uid(8), "incomplete", "fewer_than_expected", {"expected": 3}, site.wait(120))
    site.receive(10)
    site.measure(10, 15.0)
    site.receive(10, count=4)
    site.send(site.measure(10, 16.0))
