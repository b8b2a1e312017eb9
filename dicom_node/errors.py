"""Errors of receiving, each with the DICOM status that the sender sees (PS3.4 Table B.2-1, PS3.7 Annex C).

ReceiveError .status .code   UnreadableInstance 0xC000 · WrongSOPClass 0xA900 · OutOfSpace 0xA700
                       StudyConflict · IdentityConflict
NodeError              BadPath · BadSetting · PeerAway · PullIncomplete
                       StoreFault .code   StoreAway · StoreConflict · StoreDiffers · NotInStore
                                          FileMissing · FileDiffers
"""

import struct
import zlib
from typing import ClassVar

from pydicom.errors import BytesLengthException, InvalidDicomError

# The errors that reading raises on bytes that are no data set. They were found by cutting and changing a data set at
# every offset; added are those of a hostile one: nested sequences exhaust the stack, lengths the memory, and numbers
# the arithmetic.
UNPARSEABLE = (
    BytesLengthException,
    InvalidDicomError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


class ReceiveError(Exception):
    """Base of the errors for which an image is refused, and its sender told so.

    ``code`` says why in one word that never changes its meaning: files set aside carry it in their names.
    """

    status: ClassVar[int] = 0xC000
    code = "unparseable"

    def __init__(self, message: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.code = code or self.code


class UnreadableInstance(ReceiveError):
    """The data set cannot be parsed, lacks its UIDs, or contradicts the C-STORE request."""

    status = 0xC000


class WrongSOPClass(ReceiveError):
    """The data set is no CT image, or of another SOP class than request or file meta group say."""

    status = 0xA900
    code = "wrong_sop_class"


class OutOfSpace(ReceiveError):
    """The image could not be made durable: disk full, read-only, or below the watermark."""

    status = 0xA700
    code = "out_of_space"


class StudyConflict(ReceiveError):
    """The image names a series that belongs to another study; found after it was acknowledged."""

    code = "study_conflict"


class IdentityConflict(ReceiveError):
    """The image names another patient than its series, where anybody may send; found after it was acknowledged."""

    code = "identity_conflict"


class NodeError(Exception):
    """Base of the errors that are not about one image; the message says what to do."""


class BadSetting(NodeError):
    """A setting, or a line of the site file, has a value that makes no sense."""

    code = "bad_setting"


class BadPath(NodeError):
    """A row names a file outside the spool, or where none can be."""

    code = "bad_path"


class PeerAway(NodeError):
    """An archive or modality does not answer, or its answer cannot be read."""


class PullIncomplete(NodeError):
    """Fewer images came than the archive holds; what came is kept, and pulling again is safe."""


class StoreFault(NodeError):
    """Base of what keeps a file from the object store, or from coming home; nothing is removed then.

    ``code`` says why in one word that never changes its meaning.
    """

    code: ClassVar[str]


class StoreAway(StoreFault):
    """The store does not answer, or does not take what it is given."""

    code = "store_away"


class StoreConflict(StoreFault):
    """Other bytes lie in the store under the name of a file."""

    code = "store_conflict"


class StoreDiffers(StoreFault):
    """The store gives back other bytes than it was given."""

    code = "store_differs"


class NotInStore(StoreFault):
    """A file that its row says to lie in the store is not there."""

    code = "not_in_store"


class FileMissing(StoreFault):
    """A file that its row says to lie here is gone, and no copy of it is in the store."""

    code = "file_missing"


class FileDiffers(StoreFault):
    """A file here is not what its row says."""

    code = "file_differs"
