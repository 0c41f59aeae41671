"""Who is calling: a bearer token, signed with the secret shared with the host app."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import jwt

# The role that a host app's own server has, as Supabase names it.
SERVICE_ROLE = "service_role"
_LEEWAY_SECONDS = 30


class Unauthenticated(Exception):
    """No token, or one that is not to be believed. ``reason`` is a word for the metrics."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Caller:
    """``user_id`` is None for the host app's server, which ``is_service`` marks."""

    user_id: UUID | None
    is_service: bool


def authenticate(authorization: str | None, *, secret: str, audience: str) -> Caller:
    """The caller behind an ``Authorization`` header.

    Only HS256 is accepted, whatever the token says of itself; expiry and audience are required.

    Raises:
        Unauthenticated: no bearer token, or one that is malformed, forged, expired or for somebody else.
    """
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("missing")
    try:
        claims = jwt.decode(
            token.strip(),
            secret,
            algorithms=["HS256"],
            audience=audience,
            leeway=_LEEWAY_SECONDS,
            options={"require": ["exp", "aud"]},
        )
    except jwt.ExpiredSignatureError:
        raise Unauthenticated("expired") from None
    except jwt.InvalidAudienceError:
        raise Unauthenticated("audience") from None
    except jwt.InvalidTokenError:
        raise Unauthenticated("invalid") from None
    if claims.get("role") == SERVICE_ROLE:
        return Caller(user_id=None, is_service=True)
    try:
        return Caller(user_id=UUID(str(claims.get("sub"))), is_service=False)
    except ValueError:
        raise Unauthenticated("invalid") from None
