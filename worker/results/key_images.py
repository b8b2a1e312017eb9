"""Key object selection: the images that show most disease, marked so that a viewer can open the study there."""

from collections.abc import Iterator

import highdicom as hd
import numpy as np
from pydicom import Dataset

from worker.analysis.records import PatternMap
from worker.results import codes, observer
from worker.results.source import MANUFACTURER, ResultSource

PLACE = 1
DESCRIPTION = "ILD key images (Scleroscan, research)"
MOST, APART_MM = 3, 20.0


def worst_slices(found: PatternMap, spacing_mm: float) -> list[int]:
    """Return at most three slices with most disease, by area, that do not lie beside each other; worst first."""
    areas = np.count_nonzero(found.labels, axis=(1, 2)).astype(np.int64)
    chosen: list[int] = []
    while len(chosen) < MOST and areas.max() > 0:
        chosen.append(int(areas.argmax()))
        areas[np.abs(np.arange(len(areas)) - chosen[-1]) * spacing_mm < APART_MM] = 0
    return chosen


def encode(source: ResultSource, found: PatternMap) -> Dataset | None:
    """Return the selection; None where no slice shows disease."""
    slices = worst_slices(found, source.volume.spacing_mm[0])
    if not slices:
        return None
    objects = {str(one.SOPInstanceUID): one for one in source.objects}
    shown = [objects[str(source.headers[index].SOPInstanceUID)] for index in slices]
    content = hd.ko.KeyObjectSelection(
        document_title=codes.OF_INTEREST,
        referenced_objects=shown,
        observer_device_context=observer.context(source),
        description=f"Most disease found. {source.maker.statement}",
    )
    _name_frames(content[0], [source.frames[index] for index in slices] if source.frames else [])
    result = hd.ko.KeyObjectSelectionDocument(
        evidence=list({str(one.SOPInstanceUID): one for one in shown}.values()),
        content=content,
        series_instance_uid=source.uid("key images series"),
        series_number=source.series_number(PLACE),
        sop_instance_uid=source.uid("key images"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        contributing_equipment=[source.equipment()],
        specific_character_set="ISO_IR 192",
    )
    source.stamp(result, DESCRIPTION)
    return result


def _name_frames(root: Dataset, frames: list[int | None]) -> None:
    for item, frame in zip(_images(root), frames, strict=False):
        if frame is not None:
            item.ReferencedSOPSequence[0].ReferencedFrameNumber = frame


def _images(root: Dataset) -> Iterator[Dataset]:
    return (item for item in root.ContentSequence if item.ValueType == "IMAGE")
