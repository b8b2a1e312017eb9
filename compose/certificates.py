"""The doctor's checks of the certificates that we show to destinations: can they be read, and when do they end?"""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from compose.check import Check
from worker import destinations
from worker.settings import WorkerSettings

LEAST_DAYS_LEFT = 30
FIRST, LAST = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
UTC_TIME = 0x17
VERSION = 0xA0


def shown(settings: WorkerSettings) -> list[Check]:
    """Check the certificate for each destination that is shown one. Raises BadAddress for a wrong site file."""
    now = datetime.now(UTC)
    secure = (one for one in destinations.of(settings) if one.is_secure)
    own = ((one.url, one.tls_cert or (settings.tls_cert if one.is_dicom else None)) for one in secure)
    return [about(url, path, now) for url, path in own if path is not None]


def about(url: str, path: Path, now: datetime) -> Check:
    """Say when a certificate ends: soon is a note, over is a fault."""
    name, mend = f"certificate for {url}", "renew it: tls_cert in the site file, or WORKER_TLS_CERT"
    try:
        ends = end(path)
    except OSError as error:
        return Check(name, False, f"{path} cannot be read ({error.strerror})", "put it there, or mend its line")
    except ValueError as error:
        return Check(name, False, str(error), "write a PEM certificate there, or mend its line")
    if ends <= now:
        return Check(name, False, f"{path} ended on {ends:%Y-%m-%d}", mend)
    is_near = ends < now + timedelta(days=LEAST_DAYS_LEFT)
    return Check(name, True, f"{path} ends on {ends:%Y-%m-%d}, in {(ends - now).days} days", mend if is_near else "")


def end(path: Path) -> datetime:
    """Return when the first certificate of a PEM file ends (notAfter).

    Raises OSError where the file cannot be read, and ValueError where it holds no certificate.
    """
    try:
        text = path.read_text(encoding="ascii")
        encoded = ssl.PEM_cert_to_DER_cert(text[text.index(FIRST) : text.index(LAST) + len(LAST)])
        return _not_after(encoded)
    except (ValueError, IndexError, StopIteration) as error:
        raise ValueError(f"{path} holds no certificate") from error


def _not_after(encoded: bytes) -> datetime:
    """Return the end of a certificate in DER: the standard library reads it from no file (RFC 5280 4.1)."""
    (_, certificate), *_ = _parts(encoded)
    (_, signed), *_ = _parts(certificate)
    parts = (part for part in _parts(signed) if part[0] != VERSION)
    # Serial number, signature, issuer, validity.
    _, validity = [next(parts) for _ in range(4)][-1]
    _, (kind, text) = _parts(validity)
    written = text.decode("ascii")
    return datetime.strptime(f"20{written}" if kind == UTC_TIME else written, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _parts(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (tag, content) of each element of DER (X.690 8.1)."""
    while content:
        kind, length, start = content[0], content[1], 2
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(content[2:start])
        yield kind, content[start : start + length]
        content = content[start + length :]
