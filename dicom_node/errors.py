"""Errors of receiving, each with the DICOM status that the sender sees (PS3.4 Table B.2-1, PS3.7 Annex C).

ReceiveError .status   UnreadableInstance 0xC000 · WrongSOPClass 0xA900 · OutOfSpace 0xA700 · StudyConflict
NodeError              BadSetting · PeerAway · PullIncomplete
"""

import struct
import zlib
from typing import ClassVar

from pydicom.errors import BytesLengthException, InvalidDicomError

# What pydicom raises on bytes that are no data set; found by cutting and changing one at every offset.
UNPARSEABLE = (
    BytesLengthException,
    InvalidDicomError,
    AttributeError,
    EOFError,
    KeyError,
    NotImplementedError,
    OSError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


class ReceiveError(Exception):
    """Base: the image was not taken, and the sender is told so."""

    status: ClassVar[int] = 0xC000


class UnreadableInstance(ReceiveError):
    """The data set cannot be parsed, lacks its UIDs, or contradicts the C-STORE request."""

    status = 0xC000


class WrongSOPClass(ReceiveError):
    """The data set is of another SOP class than the C-STORE request says."""

    status = 0xA900


class OutOfSpace(ReceiveError):
    """The image could not be made durable: disk full, read-only, or below the watermark."""

    status = 0xA700


class StudyConflict(ReceiveError):
    """The image names a series that belongs to another study; found after it was acknowledged."""


class NodeError(Exception):
    """Base: what is not about one image; the message says what to do."""


class BadSetting(NodeError):
    """A setting, or a line of the site file, cannot be meant so."""


class PeerAway(NodeError):
    """The archive or modality asked does not answer, or not in a way that could be read."""


class PullIncomplete(NodeError):
    """Fewer images came than the archive holds; what came is kept, and pulling again is safe."""
