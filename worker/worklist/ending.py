"""Tells the worklist how an item ended: what came of it and where that lies, or why nothing did."""

from datetime import datetime

from pydicom import Dataset
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.states import WorkitemState
from db.tracking import Change, HeldWork
from worker.delivery import dicom_file
from worker.delivery.archive import Archives, result_file
from worker.errors import PeerRefused
from worker.identity import SOFTWARE_VERSION
from worker.settings import WorkerSettings
from worker.worklist import progress, reasons, service
from worker.worklist.progress import Output, Performed
from worker.worklist.service import UpsService
from worker.worklist_section import Code, Worklist

DETECTION = Code(value="110004", scheme="DCM", meaning="Computer Aided Detection")
PRIVATE_SCHEME = "99SCLEROSCAN"


class Ending:
    """Ends items; whatever it does may be done twice."""

    def __init__(
        self, worklist: Worklist, ups: UpsService, settings: WorkerSettings, sessions: sessionmaker[Session], who: str
    ) -> None:
        self._worklist, self._ups, self._settings = worklist, ups, settings
        self._sessions, self._who = sessions, who
        self._archives = Archives(settings)

    def step(self, held: HeldWork, now: datetime) -> None:
        """Say what there is to say, and ask for the final state. Raises PeerUnreachable and PeerRefused."""
        if held.state == WorkitemState.COMPLETING:
            self._say(held, self._performed(held, now), service.COMPLETED)
        else:
            text = f"{held.code}: {held.reason}"
            self._say(held, progress.canceled(reasons.of(held.code or ""), text, now), service.CANCELED)
        with self._sessions.begin() as session:
            tracking.workitem_ended(session, held.uid, Change(self._who, now))

    def _say(self, held: HeldWork, told: Dataset, state: str) -> None:
        try:
            self._ups.update(held.uid, held.transaction_uid, told)
        except PeerRefused as refusal:
            # It has ended where an earlier try was taken though its answer never came; the same end is taken again.
            if refusal.code != service.CONFLICT:
                raise
        self._ups.change(held.uid, held.transaction_uid, state)

    def _performed(self, held: HeldWork, now: datetime) -> Dataset:
        with self._sessions.begin() as session:
            stored = tracking.stored_objects(session, held.jobs or ())
        outputs = [
            Output(
                dicom_file.read(result_file(self._settings, one.path)),
                tuple(self._archives.described(url) for url in one.destinations),
            )
            for one in stored
        ]
        return progress.performed(
            Performed(
                station=self._worklist.station or self._own_name(),
                workitem=_scheduled(held) or self._worklist.workitem or DETECTION,
                begun=held.claimed_at,
                ended=now,
                description=f"Scleroscan {SOFTWARE_VERSION}",
            ),
            [one for one in outputs if any(place.is_dicom or place.is_web for place in one.destinations)],
        )

    def _own_name(self) -> Code:
        return Code(value=self._settings.ae_title, scheme=PRIVATE_SCHEME, meaning="Scleroscan")


def _scheduled(held: HeldWork) -> Code | None:
    """Return the work that was asked for: it is what was done."""
    found = held.asked.get("workitem")
    return Code.model_construct(**found) if found else None
