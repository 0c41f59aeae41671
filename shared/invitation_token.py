"""The token of an invitation's link: made again from the invitation's id, kept in the database only as a hash.

Admin hashes it when the invitation is made, callback puts it into the mail: neither stores it, and a message that is
delivered twice sends the same link. Without the secret, the database tells nobody a link that works.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from uuid import UUID

# Says what the secret signs, so that nothing else signed with it could pass for an invitation.
_PURPOSE = b"trombi invitation v1\0"


def make_token(secret: str, invitation_id: UUID) -> str:
    """HMAC-SHA256 of the invitation's id as 43 URL-safe characters (256 bits)."""
    digest = hmac.digest(secret.encode(), _PURPOSE + invitation_id.bytes, "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def hash_token(token: str) -> bytes:
    """SHA-256 of the token (32 bytes): what ``invitations.token_hash`` holds and is looked up by.

    A plain hash is enough: there are 2**256 tokens, nobody can try them.
    """
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
