"""The token of an invitation's link: derived from the invitation's id, and stored in the database only as a hash.

Admin hashes the token when the invitation is made, and callback puts it into the mail; neither stores it. A message
that is delivered twice sends the same link. No working link can be derived from the database without the secret.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from uuid import UUID

# The purpose is part of what is signed, so that nothing else signed with the secret can pass as an invitation.
_PURPOSE = b"trombi invitation v1\0"


def make_token(secret: str, invitation_id: UUID) -> str:
    """Derive the token: HMAC-SHA256 of the invitation's id, as 43 URL-safe characters (256 bits)."""
    digest = hmac.digest(secret.encode(), _PURPOSE + invitation_id.bytes, "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def hash_token(token: str) -> bytes:
    """Hash the token with SHA-256 (32 bytes): the value of ``invitations.token_hash``, by which it is looked up.

    A plain hash is enough: with 2**256 possible tokens, none can be guessed.
    """
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
