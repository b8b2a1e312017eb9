"""The one place that says which images may be kept: a CT class, four valid UIDs, and both as they were declared."""

import re
from dataclasses import dataclass
from typing import ClassVar

from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage

from dicom_node.errors import UnreadableInstance, WrongSOPClass
from dicom_node.spool.header import Header, tags_of

# PS3.5 9.1: numeric components without leading zeros, joined by dots, 64 characters at most.
UID_GRAMMAR = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*")
UID_LENGTH = 64
CT_CLASSES = (CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)


@dataclass(frozen=True)
class Identity:
    """The four UIDs that identify an image; each is present and follows the grammar of UIDs."""

    sop_class: str
    sop_uid: str
    study_uid: str
    series_uid: str
    KEYWORDS: ClassVar[tuple[str, ...]] = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
    TAGS: ClassVar[frozenset[int]] = tags_of(KEYWORDS)

    @classmethod
    def of(cls, header: Header) -> "Identity":
        """Read the UIDs of a header. Raises UnreadableInstance where one is absent or malformed."""
        uids = {keyword: header.uid(keyword) for keyword in cls.KEYWORDS}
        missing = [keyword for keyword, uid in uids.items() if not uid]
        if missing:
            raise UnreadableInstance(f"the data set lacks {', '.join(missing)}", "uid_missing")
        for uid in uids.values():
            check_uid(uid)
        return cls(*uids.values())

    def require_ct(self) -> None:
        """Raise WrongSOPClass unless it is a CT image."""
        if self.sop_class not in CT_CLASSES:
            raise WrongSOPClass("no CT image")

    def require_as_declared(self, sop_class: str, sop_uid: str) -> None:
        """Raise WrongSOPClass or UnreadableInstance where request or file meta group declare other UIDs."""
        if self.sop_class != sop_class:
            raise WrongSOPClass("the data set is of another SOP class than was declared")
        if self.sop_uid != sop_uid:
            raise UnreadableInstance("the data set has another SOP Instance UID than was declared", "other_instance")

    def require_study(self, study_uid: str | None) -> None:
        """Raise UnreadableInstance where the request names a study and the image belongs to another."""
        if study_uid is not None and study_uid != self.study_uid:
            raise UnreadableInstance("the image belongs to another study than the request names", "other_study")


def check_uid(uid: str) -> None:
    """Raise UnreadableInstance unless ``uid`` follows the grammar of UIDs."""
    if len(uid) > UID_LENGTH or not UID_GRAMMAR.fullmatch(uid):
        raise UnreadableInstance("a UID does not follow the grammar of PS3.5 9.1", "uid_malformed")
