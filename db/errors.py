"""Errors of the database package.

TrackingError          UnknownSubject · IllegalTransition · ClaimLost · ProfileNotMade · SchemaOutdated ·
                       AnchorsChanged
BadAddress             an application entity that is not written as AET@host:port
"""


class TrackingError(Exception):
    """Base of every error of the tracking."""


class UnknownSubject(TrackingError):
    """No series, job or delivery of that name is tracked."""


class IllegalTransition(TrackingError):
    """The state machine has no such arrow."""


class ClaimLost(TrackingError):
    """The job was claimed again by another worker: nothing more may be written under this claim."""


class ProfileNotMade(TrackingError):
    """A job was encoded in other ways than a destination wants: nothing of it can be sent there."""


class SchemaOutdated(TrackingError):
    """The tables are not at the newest migration: run ``scleroscan db upgrade``."""


class AnchorsChanged(TrackingError):
    """The file of anchors is not as it was written."""


class BadAddress(ValueError):
    """What should be the address of an application entity is not of the form ``AET@host:port``."""
