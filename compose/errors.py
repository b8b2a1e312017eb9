"""Errors of putting the parts together.

WiringError            BrokerFailed · DemoFailed · ExtraMissing · MisspeltSetting · NothingToSend · NotTold
                       PartUnusable · Unknown
                       UnusableSetting > AccountsUnreadable
"""


class WiringError(Exception):
    """Base: the parts could not be put together; the message says what to do."""


class BrokerFailed(WiringError):
    """The embedded broker did not start."""


class DemoFailed(WiringError):
    """The demo did not come to its end; the message says where it stopped."""


class ExtraMissing(WiringError):
    """A package that few need is not installed; the message says how to install it."""


class MisspeltSetting(WiringError):
    """An environment variable looks like a setting and is none."""


class NothingToSend(WiringError):
    """A folder holds no DICOM file that could be sent."""


class NotTold(WiringError):
    """A message about a trouble did not reach who should get it; the message says why, without any secret."""


class PartUnusable(WiringError):
    """A part of a site cannot run with its settings, however often it is started."""


class Unknown(WiringError):
    """A series or a patient that is asked for is in no row."""


class UnusableSetting(WiringError):
    """An environment variable has a value that cannot be; the message names it and shows a right one."""


class AccountsUnreadable(UnusableSetting):
    """The file of the accounts cannot be read, or is none; ``code`` is what the status page and its log say."""

    code = "accounts_unreadable"
