"""The retrieve request, which names what to fetch from an archive, and the record of what came."""

from dataclasses import dataclass

from pydicom import Dataset


@dataclass(frozen=True)
class RetrieveRequest:
    """What to fetch: a study, or one series of it."""

    study_uid: str
    series_uid: str | None = None

    def query(self) -> Dataset:
        """Return the identifier of C-GET and C-MOVE (PS3.4 C.4.3.1.3)."""
        identifier = Dataset()
        identifier.QueryRetrieveLevel = "SERIES" if self.series_uid else "STUDY"
        identifier.StudyInstanceUID = self.study_uid
        if self.series_uid:
            identifier.SeriesInstanceUID = self.series_uid
        return identifier

    @property
    def path(self) -> str:
        """The path below a DICOMweb base URL."""
        return f"/studies/{self.study_uid}" + (f"/series/{self.series_uid}" if self.series_uid else "")


@dataclass(frozen=True)
class Retrieved:
    """How many CT images came and by which way, and how many objects of other kinds were left out.

    ``series`` are the UIDs of the series that came; empty for C-MOVE, whose images come through the listener.
    """

    images: int
    left_out: int
    way: str
    series: frozenset[str] = frozenset()
