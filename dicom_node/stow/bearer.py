"""The bearer token of whoever asks by HTTP (RFC 6750)."""

import hmac

from starlette.exceptions import HTTPException
from starlette.requests import Request


def require(request: Request, token: bytes | None) -> None:
    """Raise 401 unless a request shows the token; None asks for none."""
    if token is None:
        return
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(shown.strip().encode(), token):
        raise HTTPException(401, "a bearer token is needed", {"WWW-Authenticate": "Bearer"})
