"""The section ``[worklist]`` of the site file: a UPS-RS worklist whose items the site performs, and which of them."""

from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from worker.web_peer import WebPeer

SHORT_STRING, CODE_VALUE = 16, 64


class Code(BaseModel):
    """A coded entry (PS3.3 8.8)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: str = Field(min_length=1, max_length=CODE_VALUE, description="Code Value")
    scheme: str = Field(min_length=1, max_length=SHORT_STRING, description="Coding Scheme Designator")
    meaning: str = Field(min_length=1, max_length=64, description="Code Meaning")


class Worklist(WebPeer):
    """Where work items are, which are ours, and what becomes of those whose images are not here."""

    url: str = Field(description="Base URL of the UPS-RS service, without /workitems")
    label: str | None = Field(None, min_length=1, description="Worklist Label of our items")
    station: Code | None = Field(None, description="Scheduled Station Name Code of our items, and who performed them")
    workitem: Code | None = Field(None, description="Scheduled Workitem Code of our items")
    poll_s: float = Field(30.0, ge=1, le=3600, description="The worklist is searched every so many seconds")
    at_once: int = Field(8, ge=1, le=100, description="Items that are ours at one time; no more are claimed")
    patience_s: float = Field(
        3600.0, ge=1, le=1209600, description="An item whose images do not come, or whose job failed, waits so long"
    )
    fetch: bool = Field(True, description="Fetch images from DICOM_NODE_SOURCE where an item names it")

    @field_validator("url")
    @classmethod
    def _is_a_service(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"https", "http"} or not parts.hostname or "@" in parts.netloc or parts.query:
            raise ValueError("write the base URL of a UPS-RS service as https://host/dicom-web")
        return url.rstrip("/").removesuffix("/workitems")

    @model_validator(mode="after")
    def _fits_together(self) -> "Worklist":
        self.require_one_login()
        if self.has_secrets and self.is_overheard:
            raise ValueError("a login or certificate needs https")
        if not (self.label or self.station or self.workitem):
            raise ValueError("say which items are ours: by label, station or workitem")
        return self

    def query(self) -> dict[str, Any]:
        """Return the matching keys of a search (PS3.18 11.9.1) for items that may be claimed."""
        keys = {
            "ProcedureStepState": "SCHEDULED",
            "InputReadinessState": "READY",
            "WorklistLabel": self.label,
            "ScheduledStationNameCodeSequence.CodeValue": self.station and self.station.value,
            "ScheduledWorkitemCodeSequence.CodeValue": self.workitem and self.workitem.value,
        }
        return {name: value for name, value in keys.items() if value}
