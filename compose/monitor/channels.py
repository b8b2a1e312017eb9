"""The ways to tell people: a webhook by HTTP POST of JSON, and mail by SMTP with STARTTLS."""

import smtplib
import ssl
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import httpx2

from compose.errors import NotTold
from compose.monitor.notices import Notice
from compose.monitor.settings import STARTTLS, MonitorSettings

TIMEOUT_S = 10.0
SUBMISSION_PORT, RELAY_PORT = 587, 25


class Channel(Protocol):
    """One way."""

    name: str

    def tell(self, notice: Notice) -> None:
        """Send a message, within seconds. Raises NotTold."""
        ...


class Webhook:
    """Posts each message to one URL."""

    name = "webhook"

    def __init__(self, settings: MonitorSettings) -> None:
        self._url = settings.webhook.get_secret_value() if settings.webhook else ""
        self._token_file, self._ca = settings.webhook_token_file, settings.notify_ca

    def tell(self, notice: Notice) -> None:
        """Post it. Raises NotTold."""
        try:
            headers = {"Authorization": f"Bearer {_secret(self._token_file)}"} if self._token_file else {}
            verify = ssl.create_default_context(cafile=self._ca)
            answer = httpx2.post(self._url, json=notice.as_json(), headers=headers, timeout=TIMEOUT_S, verify=verify)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            # Without its words: they may hold the URL, which with many chat programs is the secret.
            raise NotTold(f"no answer ({type(error).__name__})") from error
        if not answer.is_success:
            raise NotTold(f"answered {answer.status_code}")


class Mail:
    """Sends each message to all addresses, by the mail server of the site."""

    name = "mail"

    def __init__(self, settings: MonitorSettings) -> None:
        self._server = urlsplit(settings.mail_server or "")
        self._from, self._to = settings.mail_from or "", settings.mail_to
        self._password_file, self._ca = settings.mail_password_file, settings.notify_ca

    def tell(self, notice: Notice) -> None:
        """Send it. Raises NotTold."""
        mail = EmailMessage()
        mail["Subject"], mail["From"], mail["To"] = notice.subject, self._from, ", ".join(self._to)
        # What answers by itself, as an absence note, does not answer this (RFC 3834).
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(notice.text)
        try:
            self._send(mail)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise NotTold(f"the mail server did not take it ({type(error).__name__}: {_said(error)})") from error

    def _send(self, mail: EmailMessage) -> None:
        encrypted = self._server.scheme == STARTTLS
        port = self._server.port or (SUBMISSION_PORT if encrypted else RELAY_PORT)
        with smtplib.SMTP(self._server.hostname or "", port, timeout=TIMEOUT_S) as server:
            if encrypted:
                server.starttls(context=ssl.create_default_context(cafile=self._ca))
            if self._server.username and self._password_file:
                server.login(unquote(self._server.username), _secret(self._password_file))
            server.send_message(mail)


def of(settings: MonitorSettings) -> list[Channel]:
    """Return the ways that the settings name; none where nobody is to be told."""
    ways: list[Channel] = [Webhook(settings)] if settings.webhook else []
    return [*ways, Mail(settings)] if settings.mail_server else ways


def _secret(path: Path) -> str:
    # Read each time: a secret may be changed while the monitor runs.
    return path.read_text(encoding="utf-8").strip()


def _said(error: Exception) -> str:
    return str(getattr(error, "smtp_code", "") or getattr(error, "strerror", "") or "no more is known")
