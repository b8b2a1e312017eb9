"""The tables by which processes show that they live: rows that change again and again, and no part of what happened."""

from datetime import datetime

from sqlalchemy import JSON, BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from db.tables import Base


class Leader(Base):
    """Which scheduler leads. It raises ``beat`` as long as it lives; ``beat_at`` is only for people to read."""

    __tablename__ = "leader"
    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str | None]
    beat: Mapped[int] = mapped_column(BigInteger)
    beat_at: Mapped[datetime | None]


class Heartbeat(Base):
    """The last sign of life of the workers of a queue, raised by a message that came through the broker."""

    __tablename__ = "heartbeat"
    queue: Mapped[str] = mapped_column(primary_key=True)
    who: Mapped[str | None]
    beat: Mapped[int] = mapped_column(BigInteger)
    beat_at: Mapped[datetime | None]


class AuditFeed(Base):
    """Up to which event an audit repository was told what happened; ``missing`` are numbers that may come yet."""

    __tablename__ = "audit_feed"
    name: Mapped[str] = mapped_column(primary_key=True)
    last_event_id: Mapped[int] = mapped_column(BigInteger)
    missing: Mapped[dict[str, str]] = mapped_column(JSON)
