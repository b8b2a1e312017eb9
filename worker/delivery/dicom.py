"""Sends by C-STORE and asks by C-ECHO; every failure is reported as passing or final."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pynetdicom.association import Association

from db.address import ApplicationEntity
from worker.delivery import dicom_file, verdicts
from worker.delivery.association import Caller, opened, said_of
from worker.delivery.dicom_file import DicomFile
from worker.errors import PeerRefused, PeerUnreachable

VERIFICATION = "1.2.840.10008.1.1"
MAX_CONTEXTS = 128
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Receipt:
    """What the peer answered for one object: success, or a warning with which it is kept all the same."""

    sop_uid: str
    status: int


def echo(destination: ApplicationEntity, calling_ae: str) -> None:
    """Ask whether the peer is there and knows us.

    Raises
    ------
    PeerUnreachable
        No answer.
    PeerRefused
        The peer rejects the association.
    """
    with opened(Caller(destination, calling_ae), [(VERIFICATION, None)]) as association:
        status = association.send_c_echo()
        if status.get("Status") != 0x0000:
            raise PeerUnreachable(f"{destination} did not answer C-ECHO")


def store(
    paths: Sequence[Path], destination: ApplicationEntity, calling_ae: str, progress: Progress | None = None
) -> tuple[Receipt, ...]:
    """Send files as they are over one association.

    Parameters
    ----------
    paths
        DICOM files, of any mix of SOP classes and transfer syntaxes.
    progress
        Called with (files sent, files in all).

    Raises
    ------
    PeerUnreachable
        No answer, a dropped connection, or out of resources; sending everything again is safe.
    PeerRefused
        The peer said no for good, or a file cannot be sent.
    """
    items = [dicom_file.read(path) for path in paths]
    wanted = list(dict.fromkeys((item.sop_class, item.transfer_syntax) for item in items))
    if len(wanted) > MAX_CONTEXTS:
        raise PeerRefused("the files need more presentation contexts than one association has", code="too_mixed")
    receipts = []
    with opened(Caller(destination, calling_ae), wanted) as association:
        for item in items:
            receipts.append(_store(association, item, destination))
            if progress is not None:
                progress(len(receipts), len(items))
    return tuple(receipts)


def _store(association: Association, item: DicomFile, destination: ApplicationEntity) -> Receipt:
    if not any(
        context.abstract_syntax == item.sop_class and item.transfer_syntax in context.transfer_syntax
        for context in association.accepted_contexts
    ):
        raise PeerRefused(
            f"{destination} does not take {item.sop_class} in {item.transfer_syntax}; enable it in the archive",
            code="no_presentation_context",
            detail={"sop_class": item.sop_class, "transfer_syntax": item.transfer_syntax},
        )
    try:
        status = association.send_c_store(item.path).get("Status")
    except (OSError, RuntimeError, ValueError) as error:
        raise PeerUnreachable(f"the association with {destination} broke off", code="broke_off") from error
    if status is None:
        raise PeerUnreachable(f"{destination} broke off while an object was being sent", code="broke_off")
    if (failure := verdicts.of_store(status)) is not None:
        raise said_of(destination, failure)
    return Receipt(item.sop_uid, status)
