"""Work items as a requester schedules them, and series that a site has, is given and measures."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import generate_uid
from sqlalchemy.orm import Session, sessionmaker

from db import audit, tracking
from db.states import WorkitemState
from db.tables import Delivery, Job
from db.tracking import Change, DueDelivery, Failure, JobIdentity, JobResults, LeaseTerms, MeasurementRow, OutputFile
from db.workitem_table import Workitem
from tests.support.arrivals import arrivals
from tests.support.ct import TinyCT
from tests.support.results import written
from worker.delivery_task import DeliveryTask
from worker.proof_task import ProofTask
from worker.settings import WorkerSettings
from worker.worklist.images import ImageSource
from worker.worklist.performer import Performer
from worker.worklist_section import Worklist

NOW = datetime.now(UTC).replace(microsecond=0)
IDENTITY = JobIdentity("m" * 64, "s" * 64)
LABEL = "AI CHEST"
UPS_PUSH = "1.2.840.10008.5.1.4.34.6.1"


def later(seconds: float) -> datetime:
    """Return a time after :data:`NOW`."""
    return NOW + timedelta(seconds=seconds)


def coded(value: str, scheme: str = "99SITE", meaning: str = "Chest CT, interstitial disease") -> Dataset:
    """Return a coded entry."""
    one = Dataset()
    one.CodeValue, one.CodingSchemeDesignator, one.CodeMeaning = value, scheme, meaning
    return one


def series_named(study_uid: str, series_uid: str, sop_uids: Sequence[str], **places: str) -> Dataset:
    """Return an item of the Input Information Sequence; ``places`` are RetrieveAETitle and RetrieveURL."""
    one = Dataset()
    one.TypeOfInstances, one.StudyInstanceUID, one.SeriesInstanceUID = "DICOM", study_uid, series_uid
    one.ReferencedSOPSequence = [_image(uid) for uid in sop_uids]
    for keyword, sequence in (
        ("RetrieveAETitle", "DICOMRetrievalSequence"),
        ("RetrieveURL", "WADORSRetrievalSequence"),
    ):
        if keyword in places:
            place = Dataset()
            setattr(place, keyword, places[keyword])
            setattr(one, sequence, [place])
    return one


def _image(sop_uid: str) -> Dataset:
    one = Dataset()
    one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", sop_uid
    return one


def workitem(*inputs: Dataset, **changes: object) -> Dataset:
    """Return a scheduled item."""
    one = Dataset()
    one.SOPClassUID, one.SOPInstanceUID = UPS_PUSH, generate_uid(prefix=None)
    one.ProcedureStepState, one.InputReadinessState = "SCHEDULED", "READY"
    one.WorklistLabel, one.ProcedureStepLabel, one.ScheduledProcedureStepPriority = LABEL, "Lung assessment", "MEDIUM"
    one.ScheduledProcedureStepStartDateTime = "20260102030405"
    one.ScheduledWorkitemCodeSequence = [coded("ILD")]
    request = Dataset()
    request.RequestingService, request.PlacerOrderNumberImagingServiceRequest = "PNEUMOLOGY", "ORDER-7"
    one.ReferencedRequestSequence = [request]
    one.InputInformationSequence = list(inputs)
    for keyword, value in changes.items():
        setattr(one, keyword, value)
    return one


class Site:
    """A site with a worklist, whose other parts are these methods."""

    def __init__(self, sessions: sessionmaker[Session], settings: WorkerSettings, worklist: Worklist) -> None:
        self.sessions, self.settings, self.worklist = sessions, settings, worklist
        headers = TinyCT().datasets()
        self.study_uid, self.series_uid = str(headers[0].StudyInstanceUID), str(headers[0].SeriesInstanceUID)
        self._performers: list[Performer] = []

    def performer(self, source: ImageSource | None = None, **changes: object) -> Performer:
        """Return a performer that has just started."""
        one = Performer(self.worklist.model_copy(update=changes), self.settings, self.sessions, source, "performer@ups")
        self._performers.append(one)
        return one

    def proves_by_query(self, site_file: Path, destination: str) -> None:
        """Have a destination asked by a query what it has."""
        site_file.write_text(f'[[destination]]\nurl = "{destination}"\nproof = "query"\n')
        self.settings = self.settings.model_copy(update={"site_file": site_file})

    def close(self) -> None:
        """End the performers."""
        for one in self._performers:
            one.close()

    def item(self, **places: str) -> Dataset:
        """Return an item that asks for the series."""
        return workitem(series_named(self.study_uid, self.series_uid, self.sop_uids, **places))

    @property
    def sop_uids(self) -> list[str]:
        """The images of the series."""
        return [f"{self.series_uid}.{number + 1}" for number in range(3)]

    def receive(self, state: str = "complete", code: str = "contiguous") -> None:
        """Receive the images, and close the series."""
        images = arrivals(self.series_uid, 3, study_uid=self.study_uid)
        with self.sessions.begin() as session:
            tracking.register(session, images, NOW)
            tracking.close_series(session, self.series_uid, state, code, {}, NOW)

    def queue(self) -> int:
        """Open the job."""
        with self.sessions.begin() as session:
            return tracking.open_job(session, self.series_uid, IDENTITY, NOW)

    def measure(self, *destinations: str) -> int:
        """Measure the series, and queue its SEG and SR for destinations."""
        job_id = self.queue()
        held = self._claim(job_id)
        outputs = written(self.settings.results_dir.absolute())
        results = JobResults(
            measurements=(MeasurementRow("total", "both", "whole", "extent", 12.5, "%"),),
            flags=(),
            outputs=tuple(OutputFile(one.kind, str(one.path), one.digest, one.sop_uid) for one in outputs),
        )
        with self.sessions.begin() as session:
            tracking.record_results(session, held, results, [tracking.Recipient(one) for one in destinations], NOW)
        return job_id

    def refuse(self, code: str = "missing_slices") -> int:
        """End the job as the reading gate does, and return it."""
        held = self._claim(self.queue())
        with self.sessions.begin() as session:
            tracking.finish(session, held, "rejected", Failure(code, "3 slices are missing"), NOW)
        return held.job_id

    def delivered_to(self, destination: str) -> int:
        """Measure, and note that a destination took all of it."""
        job_id = self.measure(destination)
        self.sent_by_hand(self.take_for_sending(job_id, destination))
        return job_id

    def take_for_sending(self, job_id: int, destination: str) -> list[int]:
        """Take what is due for a destination, as who sends it does."""
        with self.sessions.begin() as session:
            due = tracking.pending(session, DueDelivery(job_id, destination), 60, NOW)
        return [one.delivery_id for one in due]

    def sent_by_hand(self, deliveries: Sequence[int]) -> None:
        """Note that the destination took the objects."""
        for one in deliveries:
            with self.sessions.begin() as session:
                tracking.delivered(session, one, 0, Change("worker", NOW))

    def sent(self, job_id: int) -> int:
        """Return how many objects of a job were sent."""
        with self.sessions.begin() as session:
            return session.query(Delivery).filter(Delivery.job_id == job_id, Delivery.sent_at.is_not(None)).count()

    def fail(self) -> int:
        """End the job as a worker does whose files are not what was received."""
        held = self._claim(self.queue())
        with self.sessions.begin() as session:
            tracking.finish(session, held, "failed", Failure("image_changed", "2 files are not what came"), NOW)
        return held.job_id

    def _claim(self, job_id: int) -> tracking.Claim:
        with self.sessions.begin() as session:
            held = tracking.claim(session, job_id, "worker", LeaseTerms(60, 3), NOW)
        assert held is not None
        return held

    def deliver(self, job_id: int, destination: str) -> None:
        """Send what is due."""
        DeliveryTask(self.settings, self.sessions, "worker", lambda: NOW).run(job_id, destination)

    def prove(self, job_id: int, destination: str) -> None:
        """Seek proof of what was sent."""
        ProofTask(self.settings, self.sessions, "worker").run(job_id, destination)

    def row(self, uid: str) -> Workitem:
        """Return the row of an item."""
        with self.sessions.begin() as session:
            row = session.get_one(Workitem, uid)
            session.expunge(row)
        return row

    def rows(self) -> list[WorkitemState]:
        """Return the states of all items."""
        with self.sessions.begin() as session:
            return [row.state for row in session.query(Workitem).order_by(Workitem.claimed_at)]

    def job_state(self, job_id: int) -> str:
        """Return the state of a job."""
        with self.sessions.begin() as session:
            return str(session.get_one(Job, job_id).state)

    def story(self, uid: str) -> list[tuple[str | None, str, str | None]]:
        """Return the events of an item: from, to, code."""
        with self.sessions.begin() as session:
            assert tracking.verify_chain(session, self.series_uid) is None
            events = audit.trail(session, self.series_uid)
        return [(one["from_state"], one["to_state"], one["code"]) for one in events if one["subject_id"] == uid]

    def discard(self, job_id: int) -> None:
        """Discard a job as an operator does."""
        with self.sessions.begin() as session:
            tracking.discard(session, job_id, "operator:anna", NOW)
