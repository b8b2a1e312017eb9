"""What became of the images of one STOW-RS request: kept while they come in, and told in its answer."""

import logging
from dataclasses import dataclass, field

from pydicom import Dataset

from dicom_node.errors import OutOfSpace, ReceiveError
from dicom_node.spool.arriving import ArrivingFile
from dicom_node.spool.image import Identity
from dicom_node.spool.refusals import Refusals

logger = logging.getLogger(__name__)


@dataclass
class Outcome:
    """What became of the images of one request."""

    kept: list[Identity] = field(default_factory=list)
    failed: list[tuple[Identity | None, int]] = field(default_factory=list)

    @property
    def status(self) -> int:
        """The HTTP status (PS3.18 Table 10.5.3-1)."""
        if not self.failed:
            return 200
        if self.kept:
            return 202
        return 503 if all(reason == OutOfSpace.status for _, reason in self.failed) else 409

    def as_json(self) -> dict[str, object]:
        """Return the Store Instances Response Module (PS3.18 Annex I) as DICOM JSON."""
        answer = Dataset()
        answer.ReferencedSOPSequence = [_reference(own) for own in self.kept]
        answer.FailedSOPSequence = [_reference(own, reason) for own, reason in self.failed if own]
        others = [_reference(None, reason) for own, reason in self.failed if own is None]
        if others:
            answer.OtherFailuresSequence = others
        return dict(answer.to_json_dict())


def _reference(own: Identity | None, failure: int | None = None) -> Dataset:
    item = Dataset()
    if own is not None:
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = own.sop_class, own.sop_uid
    if failure is not None:
        item.FailureReason = failure
    return item


class PartBody:
    """Takes one part of a request into the spool."""

    def __init__(self, file: ArrivingFile, study_uid: str | None, outcome: Outcome, refusals: Refusals) -> None:
        self._file, self._study_uid, self._outcome, self._refusals = file, study_uid, outcome, refusals
        self.extend, self.discard = file.extend, file.discard

    def finish(self) -> None:
        """Keep the image and note what became of it."""
        try:
            self._outcome.kept.append(self._file.keep(self._study_uid))
        except ReceiveError as error:
            logger.warning("image refused", extra={"status": f"0x{error.status:04X}", "reason": str(error)})
            self._refusals.note(error.code)
            self._outcome.failed.append((self._file.identity, error.status))
