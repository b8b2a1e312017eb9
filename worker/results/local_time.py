"""Tells when a result was made in the time zone of its images."""

import re
from datetime import datetime

from pydicom import Dataset

from worker.reading import headers

# PS3.3 C.12.1: from -1200 to +1400.
OFFSET = re.compile(r"[+-](0\d|1[0-4])[0-5]\d")


def of_source(moment: datetime, image: Dataset) -> datetime:
    """Return a moment by the TimezoneOffsetFromUTC of an image, or by the zone of the machine where it has none."""
    declared = headers.text(image, "TimezoneOffsetFromUTC")
    zone = datetime.strptime(declared, "%z").tzinfo if OFFSET.fullmatch(declared) else None
    return moment.astimezone(zone)


def stamp(result: Dataset, moment: datetime) -> None:
    """Give a result its dates and times, all of one moment, and the offset from UTC that they are told by."""
    offset = f"{moment:%z}"
    for prefix in ("InstanceCreation", "Content", "Series"):
        setattr(result, f"{prefix}Date", f"{moment:%Y%m%d}")
        setattr(result, f"{prefix}Time", f"{moment:%H%M%S}")
    result.TimezoneOffsetFromUTC = offset
    for item in result.get("ContributingEquipmentSequence", []):
        item.ContributionDateTime = f"{moment:%Y%m%d%H%M%S}{offset}"
