"""Errors of receiving, each with the DICOM status that the sender sees (PS3.4 Table B.2-1, PS3.7 Annex C).

ReceiveError .status .code   UnreadableInstance 0xC000 · WrongSOPClass 0xA900 · OutOfSpace 0xA700 · StudyConflict
NodeError              BadSetting · PeerAway · PullIncomplete
"""

import struct
import zlib
from typing import ClassVar

from pydicom.errors import BytesLengthException, InvalidDicomError

# What reading raises on bytes that are no data set: found by cutting and changing one at every offset, and widened by
# what a hostile one could bring about: nested sequences exhaust the stack, lengths the memory, numbers the arithmetic.
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
    """Base: the image was not taken, and the sender is told so.

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


class NodeError(Exception):
    """Base: what is not about one image; the message says what to do."""


class BadSetting(NodeError):
    """A setting, or a line of the site file, cannot be meant so."""


class PeerAway(NodeError):
    """The archive or modality asked does not answer, or not in a way that could be read."""


class PullIncomplete(NodeError):
    """Fewer images came than the archive holds; what came is kept, and pulling again is safe."""
