"""Who is calling: a bearer token that is signed, current and for us.

Three kinds of token are believed, each with the algorithms of its own kind of key and no other:

- a user's, signed with the secret shared with the host app (HS256), or with a key that the host app's issuer
  publishes (RS256, ES256, EdDSA);
- the host app's own server's: HS256 with the role ``service_role``, as Supabase makes it;
- a Google service account's identity token (OIDC), when the account is one of ``SERVICE_ACCOUNTS``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import jwt

from functions.admin.door.key_sets import KeySet
from functions.admin.settings import AdminSettings
from shared.mailbox import normal_address

# The role that a host app's own server has, as Supabase names it.
SERVICE_ROLE = "service_role"
GOOGLE_ISSUERS = ("https://accounts.google.com", "accounts.google.com")
# Supabase's keys for servers name this issuer, or none, and no audience.
_SERVICE_KEY_ISSUERS = (None, "supabase")
_SHARED_SECRET = "HS256"  # noqa: S105 - an algorithm's name
_LEEWAY_SECONDS = 30
_REASONS: tuple[tuple[type[jwt.PyJWTError], str], ...] = (
    (jwt.ExpiredSignatureError, "expired"),
    (jwt.ImmatureSignatureError, "not_yet_valid"),
    (jwt.InvalidAudienceError, "audience"),
    (jwt.InvalidIssuerError, "issuer"),
    (jwt.InvalidAlgorithmError, "algorithm"),
    (jwt.PyJWTError, "invalid"),
)
# Refuses RSA keys of less than 2048 bits as well.
_VERIFIER = jwt.PyJWT({"enforce_minimum_key_length": True})


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

    @property
    def name(self) -> str:
        """What the caller is filed under: the user's id, or ``service``."""
        return "service" if self.is_service else str(self.user_id)


SERVICE = Caller(user_id=None, is_service=True)


class Authenticator:
    """Knows callers by their bearer tokens. Fetches no keys before a token needs them."""

    def __init__(self, settings: AdminSettings) -> None:
        self._settings = settings
        self._users = _key_set(settings, settings.jwt_jwks_url)
        self._accounts = settings.service_account_emails
        self._google = _key_set(settings, settings.oidc_jwks_url if self._accounts else None)

    def caller(self, authorization: str | None) -> Caller:
        """The caller behind an ``Authorization`` header.

        Raises:
            Unauthenticated: no bearer token, or one that is malformed, forged, expired or for somebody else.
            Retryable: the keys that would tell are away.
        """
        scheme, _, token = (authorization or "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("missing")
        try:
            return self._caller(token)
        except jwt.PyJWTError as error:
            raise Unauthenticated(next(reason for kind, reason in _REASONS if isinstance(error, kind))) from None
        except (ValueError, TypeError, OverflowError, RecursionError):
            # Claims that no token has: an expiry of infinity, a subject that is no UUID.
            raise Unauthenticated("invalid") from None

    def _caller(self, token: str) -> Caller:
        # Nothing is believed of this: it only says which key would have to have signed it.
        claimed = jwt.decode_complete(token, options={"verify_signature": False})
        header, claims = claimed["header"], claimed["payload"]
        if header.get("alg") == _SHARED_SECRET:
            return self._by_shared_secret(token, claims)
        if self._google is not None and claims.get("iss") in GOOGLE_ISSUERS:
            return self._by_google(token, header)
        if self._users is None:
            raise Unauthenticated("algorithm")
        return _user(self._verified(token, header, self._users, self._settings.jwt_audience, self._settings.jwt_issuer))

    def _by_shared_secret(self, token: str, claimed: dict[str, Any]) -> Caller:
        secret = self._settings.jwt_secret
        if secret is None:
            raise Unauthenticated("algorithm")
        is_service = claimed.get("role") == SERVICE_ROLE
        audience = None if is_service and "aud" not in claimed else self._settings.jwt_audience
        issuer = None if is_service and claimed.get("iss") in _SERVICE_KEY_ISSUERS else self._settings.jwt_issuer
        claims = _decode(token, secret, _SHARED_SECRET, audience, issuer)
        return SERVICE if is_service else _user(claims)

    def _by_google(self, token: str, header: dict[str, Any]) -> Caller:
        assert self._google is not None  # noqa: S101 - asked for by the only caller
        claims = self._verified(token, header, self._google, self._settings.service_audience, GOOGLE_ISSUERS)
        if claims.get("email_verified") is not True or normal_address(str(claims.get("email"))) not in self._accounts:
            raise Unauthenticated("account")
        return SERVICE

    @staticmethod
    def _verified(
        token: str,
        header: dict[str, Any],
        keys: KeySet,
        audience: str | None,
        issuer: str | tuple[str, ...] | None,
    ) -> dict[str, Any]:
        key_id = header.get("kid")
        key = keys.key(key_id) if isinstance(key_id, str) else None
        if key is None:
            raise Unauthenticated("unknown_key")
        return _decode(token, key.key, key.algorithm, audience, issuer)


def _key_set(settings: AdminSettings, url: str | None) -> KeySet | None:
    if url is None:
        return None
    return KeySet(url, timeout=settings.jwks_timeout, min_interval=settings.jwks_min_interval)


def _decode(
    token: str,
    key: Any,  # noqa: ANN401 - a secret or a public key of any kind
    algorithm: str,
    audience: str | None,
    issuer: str | tuple[str, ...] | None,
) -> dict[str, Any]:
    """The claims of a token that is signed with ``key`` by ``algorithm``, current, and for the audience.

    Without ``audience`` (or ``issuer``) that claim is not looked at.

    Raises:
        jwt.PyJWTError: says by its type what is wrong.
    """
    required = ["exp", *(["aud"] if audience is not None else []), *(["iss"] if issuer is not None else [])]
    claims: dict[str, Any] = _VERIFIER.decode(
        token,
        key,
        algorithms=[algorithm],
        audience=audience,
        issuer=issuer,
        leeway=_LEEWAY_SECONDS,
        options={"require": required, "verify_aud": audience is not None},
    )
    return claims


def _user(claims: dict[str, Any]) -> Caller:
    return Caller(user_id=UUID(str(claims.get("sub"))), is_service=False)
