"""Whom a model knows: patients as digests, which its card can carry on without a name."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker.errors import InputRejected
from worker.reading import headers
from worker.training.data.dataset_file import DatasetFile
from worker.training.data.scans import DicomScan, Side

Digests = frozenset[str]


@dataclass(frozen=True)
class Known:
    """Digests of the patients whom a model, or any that it goes on from, was trained or calibrated on."""

    trained: Digests = frozenset()
    calibrated: Digests = frozenset()

    @classmethod
    def by(cls, *cards: Mapping[str, Any]) -> "Known":
        """Return whom the models of the cards know; older cards name the patients themselves."""
        known = cls()
        for card in cards:
            stored = card.get("known_patients", {})
            named = {by_name(name, patient) for name, own in card.get("patients", {}).items() for patient in own}
            known = known.and_of(named.union(stored.get("trained", ())), stored.get("calibrated", ()))
        return known

    @property
    def anyhow(self) -> Digests:
        """Everyone: nobody among them may be judged."""
        return self.trained | self.calibrated

    def and_of(self, trained: Iterable[str], calibrated: Iterable[str] = ()) -> "Known":
        """Return these and more."""
        return Known(self.trained.union(trained), self.calibrated.union(calibrated))

    def as_card(self) -> dict[str, list[str]]:
        """Return what the card carries."""
        return {"trained": sorted(self.trained), "calibrated": sorted(self.calibrated)}


def digests(path: Path, described: DatasetFile) -> dict[str, Digests]:
    """Return, by patient of the data set that a YAML file describes, every digest that may stand for the patient.

    One is of the data set's name for the patient. Of DICOM another is of issuer and PatientID, by which the patient is
    known again in other data sets; an id that several patients share, such as one that a de-identifier fills in, is
    nobody's.
    """
    by_id: dict[str, set[str]] = {}
    for scan in described.scans:
        if isinstance(scan, DicomScan):
            by_id.setdefault(scan.patient, set()).update(of_series(path.parent / scan.series))
    count = Counter(digest for own in by_id.values() for digest in own)
    return {
        patient: frozenset(
            {by_name(described.name, patient)} | {one for one in by_id.get(patient, ()) if count[one] == 1}
        )
        for patient in described.patients
    }


def of_series(folder: Path) -> Digests:
    """Return the digest of whose series lies below a folder; nothing where the files do not say."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file())[:1]:
        try:
            header = headers.read(path).header
        except (InputRejected, OSError):
            # What is wrong is told where the scan itself is read.
            break
        if patient_id := headers.text(header, "PatientID"):
            return frozenset({_digest("id", headers.text(header, "IssuerOfPatientID"), patient_id)})
    return frozenset()


def by_name(dataset: str, patient: str) -> str:
    """Return the digest of a data set's name for a patient."""
    return _digest("name", dataset, patient)


def barred(known: Known, of: Mapping[str, Digests]) -> dict[Side, frozenset[str]]:
    """Return who must not be on which side: nobody known is judged, and nobody trained on calibrates.

    ``of`` holds the digests of the patients of a data set.
    """
    return {
        Side.calibrate: frozenset(patient for patient, own in of.items() if own & known.trained),
        Side.test: frozenset(patient for patient, own in of.items() if own & known.anyhow),
    }


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(("scleroscan patient", *parts)).encode()).hexdigest()
