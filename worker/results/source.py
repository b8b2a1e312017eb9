"""The attributes that every result object has from its source images and its maker."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import highdicom as hd
from pydicom import Dataset
from pydicom.uid import CTImageStorage

from db.tracking import Predecessor
from worker.reading import headers
from worker.reading.volume import CTVolume
from worker.results import codes, local_time, uids

MANUFACTURER = "Scleroscan"
PRODUCT = "Scleroscan"
# Of VR LO (PS3.5 6.2).
LONGEST_NAME = 64
# Of VR IS.
LARGEST_IS = 2**31
FIRST_THOUSAND = 7000
TYPE_2 = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)


@dataclass(frozen=True)
class Maker:
    """Who made the results: software and model.

    ``model`` is its name for people, with version and origin; ``statement`` is the sentence on every result.
    """

    software_version: str
    model: str
    model_version: str
    model_digest: str
    statement: str


@dataclass(frozen=True, eq=False)
class ResultSource:
    """A source series as the encoders need it.

    ``headers`` are in the order of ``volume.hu``; ``job_key`` decides every UID; ``created_at`` every date and time;
    ``frames`` says which frame of a multi-frame object a slice is, from 1, and is empty for classic images;
    ``predecessor`` is the job whose results these replace.
    """

    volume: CTVolume
    headers: tuple[Dataset, ...]
    job_key: str
    created_at: datetime
    maker: Maker
    frames: tuple[int | None, ...] = ()
    predecessor: Predecessor | None = None

    @cached_property
    def images(self) -> list[Dataset]:
        """Copies of the headers with absent type 2 attributes empty and the slice thickness given.

        Each frame of a multi-frame object is a classic image under a UID of its own, until :meth:`refer` names it.
        """
        completed = [self._completed(header) for header in self.headers]
        for number, image in zip(self.frames, completed, strict=False):
            if number is not None:
                image.add_new("SOPInstanceUID", "UI", self.uid(f"frame {number} of {image.SOPInstanceUID}"))
                image.add_new("SOPClassUID", "UI", CTImageStorage)
        return completed

    @cached_property
    def objects(self) -> list[Dataset]:
        """The source objects that the archive knows, each once, completed like :attr:`images`."""
        if not any(self.frames):
            return self.images
        by_uid = {str(header.SOPInstanceUID): header for header in self.headers}
        return [self._completed(header) for header in by_uid.values()]

    def refer(self, result: Dataset) -> None:
        """Replace each reference to a stand-in image of :attr:`images` by one to the frame that it stands for."""
        if not any(self.frames):
            return
        frames = {
            image.SOPInstanceUID: (header, number)
            for image, header, number in zip(self.images, self.headers, self.frames, strict=True)
        }
        for groups in result.PerFrameFunctionalGroupsSequence:
            for derivation in groups.get("DerivationImageSequence", []):
                for item in derivation.SourceImageSequence:
                    # Segments share the items of a plane, so an item may have been replaced before.
                    if item.ReferencedSOPInstanceUID in frames:
                        header, number = frames[item.ReferencedSOPInstanceUID]
                        item.update(_named(header))
                        item.ReferencedFrameNumber = number
        result.SourceImageSequence = [_named(source) for source in self.objects]
        for series in result.ReferencedSeriesSequence:
            series.ReferencedInstanceSequence = [_named(source) for source in self.objects]

    def _completed(self, header: Dataset) -> Dataset:
        # A copy that shares the elements. Each that differs is a new one: to assign a value would change the header's.
        image = Dataset(dict(header.items()))
        for keyword in TYPE_2:
            if keyword not in image:
                setattr(image, keyword, "")
        if not image.get("SliceThickness"):
            image.add_new("SliceThickness", "DS", round(self.volume.spacing_mm[0], 4))
        image.add_new("FrameOfReferenceUID", "UI", self.volume.frame_of_reference_uid)
        return image

    def uid(self, role: str) -> str:
        """Return the UID of an object of this job."""
        return uids.derive(self.job_key, role)

    def series_number(self, place: int) -> int:
        """Return the series number of our object at a place, from 1: a viewer lists it behind the CT.

        The first free thousand from 7000 on; where an IS cannot hold it, 7000 all the same.
        """
        taken = int(headers.number(self.headers[0], "SeriesNumber") or 0)
        thousand = max(FIRST_THOUSAND, (taken // 1000 + 1) * 1000)
        return (thousand if thousand + 1000 < LARGEST_IS else FIRST_THOUSAND) + place

    def tracking_uid(self, finding: str) -> str:
        """Return the tracking UID of a finding of this patient."""
        first = self.images[0]
        patient_id, issuer = (str(first.get(keyword) or "") for keyword in ("PatientID", "IssuerOfPatientID"))
        return uids.tracking(patient_id, issuer, str(first.StudyInstanceUID), finding)

    @property
    def device_serial_number(self) -> str:
        """Serial number that changes with software and model."""
        return f"{self.maker.software_version}-{self.maker.model_digest[:16]}"

    @property
    def device_uid(self) -> str:
        """Device UID that changes with software and model."""
        return uids.derive(self.maker.model_digest, f"device {self.maker.software_version}")

    @property
    def model_name(self) -> str:
        """Name of the model as it fits into an attribute."""
        return self.maker.model[:LONGEST_NAME].rstrip()

    @property
    def algorithm_version(self) -> str:
        """Versions of the software and of the model."""
        return f"{self.maker.software_version}/{self.maker.model_version}"

    def algorithm(self) -> hd.AlgorithmIdentificationSequence:
        """Return which algorithm made a segment, by the digest of its weights."""
        return hd.AlgorithmIdentificationSequence(
            name=self.model_name,
            family=codes.ARTIFICIAL_INTELLIGENCE,
            version=self.algorithm_version,
            source=MANUFACTURER,
            parameters={"weights_sha256": self.maker.model_digest},
        )

    def equipment(self) -> hd.ContributingEquipment:
        """Return the processing equipment."""
        item = hd.ContributingEquipment(
            manufacturer=MANUFACTURER,
            purpose_of_reference=codes.PROCESSING_EQUIPMENT,
            manufacturer_model_name=self.model_name,
            software_versions=self.maker.software_version,
            device_serial_number=self.device_serial_number,
            contribution_description=self.maker.statement,
        )
        item.DeviceUID = self.device_uid
        return item

    def stamp(self, result: Dataset, description: str) -> None:
        """Give a result its dates from the job, its description, and the declaration of our codes."""
        local_time.stamp(result, local_time.of_source(self.created_at, self.headers[0]))
        result.SeriesDescription = description


def _named(source: Dataset) -> Dataset:
    """Return a reference to an object (PS3.3 10.8)."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
    return item
