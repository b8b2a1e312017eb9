"""The table of the items of a UPS-RS worklist that the site performs (PS3.4 Annex CC)."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from db.states import WorkitemState
from db.tables import UID, Base, words


class Workitem(Base):
    """One work item: who asks for what, and how far it is.

    ``transaction_uid`` is what shows to the worklist that it is ours: it is kept before it is first sent. ``asked`` is
    what the item names: its images, and its coded work. ``series_uid`` is the series with whose events its own stand;
    None until images are here. ``jobs`` are those
    whose objects are its output. ``code`` and ``reason`` say why it was canceled or lost. ``trouble`` is what it waits
    for, ``attempts`` the tries since ``troubled_since``, ``fetched_at`` when its images were fetched, and
    ``subscribed`` whether the worklist tells us of a request to cancel it.
    """

    __tablename__ = "workitem"
    uid: Mapped[str] = mapped_column(UID, primary_key=True)
    worklist: Mapped[str]
    transaction_uid: Mapped[str] = mapped_column(UID)
    series_uid: Mapped[str | None] = mapped_column(ForeignKey("series.uid"), index=True)
    state: Mapped[WorkitemState] = mapped_column(words(WorkitemState), index=True)
    code: Mapped[str | None]
    reason: Mapped[str | None]
    label: Mapped[str]
    requester: Mapped[str]
    order_number: Mapped[str]
    asked: Mapped[dict[str, Any]]
    jobs: Mapped[list[int] | None] = mapped_column(JSON(none_as_null=True))
    claimed_at: Mapped[datetime]
    cancel_asked_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    trouble: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime]
    troubled_since: Mapped[datetime | None]
    fetched_at: Mapped[datetime | None]
    subscribed: Mapped[bool | None]
