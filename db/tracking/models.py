"""The models that jobs were computed by, each kept once by the digest of its weights."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db.tables import Model


@dataclass(frozen=True)
class ModelIdentity:
    """A pattern model by the SHA-256 of its weights; ``card`` is its model card, JSON-ready."""

    digest: str
    name: str
    version: str
    card: dict[str, Any]


def register_model(session: Session, model: ModelIdentity, now: datetime) -> None:
    """Keep the model's card, once per digest."""
    if session.get(Model, model.digest) is not None:
        return
    row = Model(digest=model.digest, name=model.name, version=model.version, card=model.card, first_seen_at=now)
    # Another worker that started at the same moment may have kept it since.
    with suppress(IntegrityError), session.begin_nested():
        session.add(row)
