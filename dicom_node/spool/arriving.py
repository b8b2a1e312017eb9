"""Receives one Part 10 file into the spool while its bytes come; only the beginning is held in memory."""

from pydicom.uid import UID

from dicom_node.errors import OutOfSpace, ReceiveError, UnreadableInstance, WrongSOPClass
from dicom_node.spool import file_meta, part10
from dicom_node.spool.elements import Cut
from dicom_node.spool.folder import Spool
from dicom_node.spool.image import CT_CLASSES, Identity, check_uid
from dicom_node.spool.incoming import PIECE, Incoming
from dicom_node.spool.part10 import Way

# The meta group lies within: it is read once so many bytes have come, or all of a shorter file.
BEGINNING = 65_536


class ArrivingFile:
    """One file on its way into the spool.

    Where it is refused, the rest of it is dropped, and :meth:`keep` says why.
    """

    def __init__(self, spool: Spool, way: Way) -> None:
        self._spool, self._way = spool, way
        self._beginning = bytearray()
        self._incoming: Incoming | None = None
        self._declared = ("", "", "")
        self._refusal: ReceiveError | None = None
        self.identity: Identity | None = None

    def extend(self, content: bytes) -> None:
        """Take the next bytes of the file."""
        if self._incoming is not None:
            self._incoming.extend(content)
        elif self._refusal is None:
            self._beginning += content
            if len(self._beginning) >= BEGINNING:
                self._begin()

    def keep(self, study_uid: str | None = None) -> Identity:
        """Keep the whole file durably and return its UIDs.

        Raises
        ------
        ReceiveError
            It is no CT image of the study, cannot be read, or the spool does not take it.
        """
        if self._incoming is None and self._refusal is None:
            self._begin()
        try:
            if self._refusal is not None or self._incoming is None:
                raise self._refusal or UnreadableInstance("the file is empty")
            return self._keep(self._incoming, study_uid)
        except OSError as error:
            raise OutOfSpace("the spool cannot be read") from error
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove what was written of a file that is not kept."""
        if self._incoming is not None:
            self._incoming.discard()
            self._incoming = None

    def _begin(self) -> None:
        beginning, self._beginning = bytes(self._beginning), bytearray()
        try:
            meta, start = part10.meta_of(beginning)
            self._declared = sop_class, sop_uid, syntax = (
                meta.uid("MediaStorageSOPClassUID"),
                meta.uid("MediaStorageSOPInstanceUID"),
                meta.uid("TransferSyntaxUID"),
            )
            for uid in self._declared:
                check_uid(uid)
            if sop_class not in CT_CLASSES:
                raise WrongSOPClass("no CT image")
        except Cut:
            self._refusal = UnreadableInstance("the file ends within its meta group", "truncated")
        except ReceiveError as error:
            self._refusal = error
        else:
            header = file_meta.write(sop_class, sop_uid, syntax, self._way.sender, self._way.receiver)
            self._incoming = self._spool.begin(header, bytearray(PIECE))
            self._incoming.extend(beginning[start:])

    def _keep(self, incoming: Incoming, study_uid: str | None) -> Identity:
        sop_class, sop_uid, syntax = self._declared
        self._spool.complete(incoming)
        self.identity = identity = part10.identity_of(incoming, UID(syntax))
        identity.require_as_declared(sop_class, sop_uid)
        identity.require_study(study_uid)
        self._spool.keep_incoming(incoming, identity.sop_uid)
        return identity
