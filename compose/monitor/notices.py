"""What people are told: that a trouble began, and that it is over."""

import socket
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from compose.monitor.troubles import Trouble
from compose.settings import SiteSettings


class What(StrEnum):
    """Why somebody is told something."""

    BEGUN = "begun"
    OVER = "over"
    TRIAL = "trial"


@dataclass(frozen=True)
class Notice:
    """One message: of which site, about which trouble, and when that was noticed."""

    site: str
    what: What
    trouble: Trouble
    at: datetime

    @property
    def subject(self) -> str:
        """One line."""
        words = {What.BEGUN: self.trouble.found, What.OVER: "over", What.TRIAL: self.trouble.found}
        return f"Scleroscan {self.site}: {self.trouble.name}: {words[self.what]}"

    @property
    def text(self) -> str:
        """The whole message."""
        lines = [self.subject, f"at {self.at.isoformat(timespec='seconds')}"]
        return "\n".join([*lines, f"What to do: {self.trouble.mend}."] if self.what == What.BEGUN else lines)

    def as_json(self) -> dict[str, str]:
        """Return the object that a webhook gets; ``text`` is what chat programs show."""
        return {
            "site": self.site,
            "state": self.what.value,
            "trouble": self.trouble.name,
            "found": self.trouble.found,
            "mend": self.trouble.mend,
            "at": self.at.isoformat(timespec="seconds"),
            "text": self.text,
        }


def site_name(site: SiteSettings) -> str:
    """Return how messages name a site: by its AE title and machine."""
    return f"{site.node.ae_title} on {socket.gethostname()}"


def trial(site: SiteSettings, now: datetime) -> Notice:
    """Return a message that tells of no trouble."""
    return Notice(site_name(site), What.TRIAL, Trouble("trial", "messages of this site arrive", "nothing"), now)
