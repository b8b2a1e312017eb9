"""Fetching from a DICOM archive by C-FIND and C-GET, or C-MOVE (PS3.4 Annex C)."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from typing import cast

from pydicom import Dataset
from pydicom.uid import UID, CTImageStorage
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE

from db.address import ApplicationEntity
from dicom_node.answers import KEPT_FOR_WHO_ASKED
from dicom_node.errors import PeerAway, PullIncomplete, ReceiveError
from dicom_node.retrieve.request import Retrieved, RetrieveRequest
from dicom_node.retrieve.source import STUDY_ROOT_FIND
from dicom_node.spool import part10
from dicom_node.spool.folder import Spool
from dicom_node.spool.image import CT_CLASSES
from dicom_node.spool.part10 import Way

logger = logging.getLogger(__name__)
STUDY_ROOT_GET, STUDY_ROOT_MOVE = UID("1.2.840.10008.5.1.4.1.2.2.3"), UID("1.2.840.10008.5.1.4.1.2.2.2")
CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S = 10, 300
SUCCESS = 0x0000


@dataclass
class _Taken:
    """What came over one C-GET association: the instances kept, each with its series, and why others were refused."""

    kept: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class DimseArchive:
    """A DICOM archive: C-FIND asks for the CT series of a study; C-GET fetches them, or C-MOVE if there is no C-GET."""

    peer: ApplicationEntity
    spool: Spool
    our_ae: str

    def fetch(self, request: RetrieveRequest) -> Retrieved:
        """Fetch what the request names. Raises PeerAway or PullIncomplete."""
        taken = _Taken()
        association = self._associate(taken)
        try:
            # One C-GET for each CT series: in that of a whole study some archives stop at an object of another kind,
            # because this association has no presentation context for it.
            pulled = [self._fetch(association, one, taken) for one in self._series(association, request)]
        except (RuntimeError, ValueError) as error:
            raise PeerAway(f"{self.peer} broke off") from error
        finally:
            if association.is_established:
                association.release()
        if taken.refused:
            raise PullIncomplete(f"{len(taken.refused)} images were refused here: {taken.refused[0]}; pull again")
        if not pulled:
            raise PeerAway(f"{self.peer} has no CT series of that study")
        return Retrieved(sum(one.images for one in pulled), 0, pulled[0].way, frozenset(taken.kept.values()))

    def _associate(self, taken: _Taken) -> Association:
        # One context for each transfer syntax: of several in one context the archive picks one, and would convert every
        # image to it. An association has at most 128 contexts.
        contexts = [build_context(CTImageStorage, syntax) for syntax in ALL_TRANSFER_SYNTAXES]
        contexts += [build_context(sop_class, ALL_TRANSFER_SYNTAXES) for sop_class in CT_CLASSES[1:]]
        contexts += [build_context(model) for model in (STUDY_ROOT_GET, STUDY_ROOT_MOVE, STUDY_ROOT_FIND)]
        entity = AE(self.our_ae)
        entity.connection_timeout = entity.acse_timeout = CONNECT_TIMEOUT_S
        entity.dimse_timeout = entity.network_timeout = ANSWER_TIMEOUT_S
        association = entity.associate(
            self.peer.host,
            self.peer.port,
            contexts=contexts,
            ae_title=self.peer.ae_title,
            ext_neg=[build_role(sop_class, scp_role=True) for sop_class in CT_CLASSES],
            evt_handlers=[KEPT_FOR_WHO_ASKED, (evt.EVT_C_STORE, self._keeper(taken))],
            tls_args=self.peer.tls_arguments(),
        )
        if not association.is_established:
            raise PeerAway(f"{self.peer} does not take our association; does it know {self.our_ae}?")
        return association

    def _series(self, association: Association, request: RetrieveRequest) -> list[RetrieveRequest]:
        """Return one request for each CT series of the study; the request as it is where C-FIND is not offered."""
        if request.series_uid or STUDY_ROOT_FIND not in _offered(association):
            return [request]
        query = request.query()
        query.QueryRetrieveLevel, query.SeriesInstanceUID, query.Modality = "SERIES", "", "CT"
        answers = list(association.send_c_find(query, STUDY_ROOT_FIND))
        if not answers or answers[-1][0].get("Status") != SUCCESS:
            raise PeerAway(f"{self.peer} did not answer C-FIND with success")
        found = [str(match.SeriesInstanceUID) for _, match in answers if match is not None]
        return [RetrieveRequest(request.study_uid, uid) for uid in found]

    def _fetch(self, association: Association, request: RetrieveRequest, taken: _Taken) -> Retrieved:
        offered, kept, refused = _offered(association), len(taken.kept), len(taken.refused)
        if STUDY_ROOT_GET in offered:
            answers = list(association.send_c_get(request.query(), STUDY_ROOT_GET))
            # Images that we refused count as failed at the archive; they are reported at the end, after all series.
            if len(taken.refused) == refused:
                self._check(answers)
            return Retrieved(len(taken.kept) - kept, 0, "C-GET")
        if STUDY_ROOT_MOVE in offered:
            answers = list(association.send_c_move(request.query(), self.our_ae, STUDY_ROOT_MOVE))
            return Retrieved(self._check(answers), 0, "C-MOVE")
        raise PeerAway(f"{self.peer} offers neither C-GET nor C-MOVE at the study root")

    def _check(self, answers: list[tuple[Dataset, Dataset | None]]) -> int:
        """Read the last answer's sub-operations (PS3.4 C.4.3.1.5) and return how many succeeded."""
        status = answers[-1][0] if answers else Dataset()
        code, completed = status.get("Status"), int(status.get("NumberOfCompletedSuboperations") or 0)
        failed = int(status.get("NumberOfFailedSuboperations") or 0)
        if code == SUCCESS and completed and not failed:
            return completed
        if code == SUCCESS and not failed:
            raise PeerAway(f"{self.peer} has no such images")
        if completed:
            raise PullIncomplete(f"{completed} images came and {failed} did not; pull again")
        raise PeerAway(f"{self.peer} refused to send: " + ("no status" if code is None else f"status 0x{code:04X}"))

    def _keeper(self, taken: _Taken) -> Callable[[evt.Event], int]:
        way = Way(self.peer.ae_title, self.our_ae)

        def keep(event: evt.Event) -> int:
            dataset = cast(BytesIO, cast(C_STORE, event.request).DataSet).getvalue()
            try:
                image = part10.image_of_data_set(dataset, str(event.context.transfer_syntax))
                part10.keep(self.spool, image, way)
            except ReceiveError as error:
                logger.warning("image refused", extra={"status": f"0x{error.status:04X}", "reason": str(error)})
                taken.refused.append(str(error))
                return error.status
            taken.kept[image.identity.sop_uid] = image.identity.series_uid
            return SUCCESS

        return keep


def _offered(association: Association) -> set[UID | None]:
    return {context.abstract_syntax for context in association.accepted_contexts}
