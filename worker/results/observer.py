"""Who observed: this software as a device, by UIDs and names that change with software and model."""

from highdicom import sr
from highdicom.sr.coding import CodedConcept

from worker.results.source import MANUFACTURER, PRODUCT, ResultSource


def context(source: ResultSource) -> sr.ObserverContext:
    """Return the device that observed (TID 1002, 1004)."""
    return sr.ObserverContext(
        observer_type=CodedConcept("121007", "DCM", "Device"),
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=source.device_uid,
            name=PRODUCT,
            manufacturer_name=MANUFACTURER,
            model_name=source.model_name,
            serial_number=source.device_serial_number,
        ),
    )
