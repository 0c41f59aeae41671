"""Signing in to the emulated cloud's web page: what a host app does when its organiser presses "Who is who?"."""

from __future__ import annotations

import time
from uuid import UUID

import jwt

from local.cloud.state import Addresses

_HOURS = 12


def sign_in_link(addresses: Addresses, event_id: UUID, user_id: UUID, secret: str) -> str:
    """Return an event's page as a URL that signs ``user_id`` in for 12 hours; ``secret`` is admin's JWT_SECRET."""
    claims = {"sub": str(user_id), "aud": "authenticated", "exp": int(time.time()) + _HOURS * 3600}
    token = jwt.encode(claims, secret, algorithm="HS256")
    return f"{addresses.function_urls['admin']}/events/{event_id}/analyse#token={token}"
