"""The doctor's check of the anchors: would events that were cut off be missed?"""

from datetime import UTC, datetime

from sqlalchemy.exc import OperationalError

from compose.check import Check
from compose.settings import SiteSettings
from db import schema, tracking
from db.errors import AnchorsChanged, SchemaOutdated
from db.tracking import Anchors

# One anchor may come late, after a restart; two are missing.
LONGEST_INTERVALS = 2
KEEP = "let the file be and compare the site with a copy of it: scleroscan audit verify --anchors COPY"


def anchors(site: SiteSettings) -> Check:
    """Say when the chains were anchored, and for how long events have waited for it."""
    path = site.node.anchors
    try:
        known = tracking.read_anchors(path)
        with schema.open_current(site.db_url).begin() as session:
            ends = tracking.unanchored(session, known)
    except AnchorsChanged as error:
        return Check("anchors", False, str(error), KEEP)
    except OSError as error:
        return Check("anchors", False, f"{path} cannot be read: {error.strerror}", "mend DICOM_NODE_ANCHOR_FILE")
    except (OperationalError, SchemaOutdated):
        return Check("anchors", True, "unknown: the database does not say")
    return _of_ends(site, known, ends)


def _of_ends(site: SiteSettings, known: Anchors, ends: list[datetime]) -> Check:
    now = datetime.now(UTC)
    last = f"the last {_age(known.at, now)} ago" if known.at else "none yet"
    if not ends:
        return Check("anchors", True, f"every event is anchored, {last}" if known.at else "no event yet to be anchored")
    found = f"{len(ends)} series with events not anchored, the oldest for {_age(ends[0], now)}; anchors: {last}"
    if (now - ends[0]).total_seconds() <= LONGEST_INTERVALS * site.node.anchor_s:
        return Check("anchors", True, found)
    mend = f"see that a scheduler runs and may write {site.node.anchors}; its log says what keeps it from anchoring"
    return Check("anchors", True, found, mend)


def _age(since: datetime, now: datetime) -> str:
    return f"{(now - since).total_seconds() / 3600:.1f} h"
