"""Anchors: the heads of all chains, noted at intervals in a file outside the database.

Each line is a JSON record with the time, the heads that are new since the line before, and the SHA-256 of that line.
Lines are only ever added. What the file says of a chain, whoever owns the database cannot take back.
"""

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from db.errors import AnchorsChanged
from db.tables import Event

FIRST = "0" * 64


@dataclass(frozen=True)
class Anchors:
    """What a file of anchors holds: by series the hashes of its heads by sequence; ``digest`` is of the last line."""

    heads: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    digest: str = FIRST
    at: datetime | None = None


class _Head(NamedTuple):
    sequence: int
    hash: str
    at: datetime


@dataclass(frozen=True)
class _Record:
    at: str
    heads: dict[str, tuple[int, str]]
    previous: str


def read_anchors(path: Path) -> Anchors:
    """Return the anchors of a file; none where there is no file.

    Raises
    ------
    AnchorsChanged
        A line does not name the one before it.
    """
    heads: dict[str, dict[int, str]] = defaultdict(dict)
    digest, at = FIRST, None
    for number, line in enumerate(path.read_bytes().split(b"\n") if path.exists() else (), start=1):
        record = _record(line)
        if record is None:
            # A line whose writer was killed: the next one names the line before it.
            continue
        if record.previous != digest:
            raise AnchorsChanged(f"line {number} of {path} does not follow the one before it: lines were changed")
        for series_uid, (sequence, said) in record.heads.items():
            heads[series_uid][sequence] = said
        digest, at = hashlib.sha256(line).hexdigest(), datetime.fromisoformat(record.at)
    return Anchors(heads, digest, at)


def _record(line: bytes) -> _Record | None:
    try:
        return _Record(**json.loads(line))
    except (ValueError, TypeError):
        return None


def anchor(session: Session, path: Path, now: datetime) -> Anchors:
    """Add the heads that are new to the file, durably, and return what it then holds; no line where none is new."""
    before = read_anchors(path)
    new = {uid: (head.sequence, head.hash) for uid, head in _new_heads(session, before).items()}
    if not new:
        return before
    record = _Record(now.isoformat(), new, before.digest)
    _add(path, json.dumps(asdict(record), separators=(",", ":")).encode())
    return read_anchors(path)


def unanchored(session: Session, anchors: Anchors) -> list[datetime]:
    """Return when each chain that no anchor has to its end got its last event, the longest ago first."""
    return sorted(head.at for head in _new_heads(session, anchors).values())


def _new_heads(session: Session, anchors: Anchors) -> dict[str, _Head]:
    return {uid: head for uid, head in _heads(session) if anchors.heads.get(uid, {}).get(head.sequence) != head.hash}


def _heads(session: Session) -> Iterator[tuple[str, _Head]]:
    newest = select(Event.series_uid, func.max(Event.sequence).label("sequence")).group_by(Event.series_uid).subquery()
    is_head = and_(Event.series_uid == newest.c.series_uid, Event.sequence == newest.c.sequence)
    columns = (Event.series_uid, Event.sequence, Event.hash, Event.at)
    for uid, sequence, said, at in session.execute(select(*columns).join(newest, is_head)):
        yield uid, _Head(sequence, said, at)


def _add(path: Path, line: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The newline ends what a killed writer has left.
    start = b"\n" if path.exists() and not path.read_bytes().endswith(b"\n") else b""
    with open(path, "ab", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(start + line + b"\n")
        file.flush()
        os.fsync(file.fileno())
