"""Authentication by bearer token, which must be signed, unexpired and issued for this service.

Three kinds of token are accepted, each only with the algorithms of its own kind of key:

- of a user, signed with the secret shared with the host app (HS256), or with a key that the host app's issuer
  publishes (RS256, ES256, EdDSA);
- of the host app's server: HS256 with the role ``service_role``, as Supabase issues it;
- of a Google service account listed in ``SERVICE_ACCOUNTS``: its identity token (OIDC).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import jwt

from functions.admin.door.key_sets import KeySet
from functions.admin.settings import AdminSettings
from shared.mailbox import normal_address

# Supabase's name for the role of a host app's server.
SERVICE_ROLE = "service_role"
GOOGLE_ISSUERS = ("https://accounts.google.com", "accounts.google.com")
# Supabase's service keys name this issuer or none, and no audience.
_SERVICE_KEY_ISSUERS = (None, "supabase")
_SHARED_SECRET = "HS256"  # noqa: S105 - the name of an algorithm
_LEEWAY_SECONDS = 30
_REASONS: tuple[tuple[type[jwt.PyJWTError], str], ...] = (
    (jwt.ExpiredSignatureError, "expired"),
    (jwt.ImmatureSignatureError, "not_yet_valid"),
    (jwt.InvalidAudienceError, "audience"),
    (jwt.InvalidIssuerError, "issuer"),
    (jwt.InvalidAlgorithmError, "algorithm"),
    (jwt.PyJWTError, "invalid"),
)
# Also refuses RSA keys shorter than 2048 bits.
_VERIFIER = jwt.PyJWT({"enforce_minimum_key_length": True})


class Unauthenticated(Exception):
    """The token is missing or not valid. ``reason`` is a word for the metrics."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Caller:
    """Who sent a request: a user, or (``is_service``, without ``user_id``) the host app's server."""

    user_id: UUID | None
    is_service: bool

    @property
    def name(self) -> str:
        """The caller's name in records: the user's id, or ``service``."""
        return "service" if self.is_service else str(self.user_id)


SERVICE = Caller(user_id=None, is_service=True)


class Authenticator:
    """Identifies callers by their bearer tokens. Keys are fetched only when a token needs them."""

    def __init__(self, settings: AdminSettings) -> None:
        self._settings = settings
        self._users = _key_set(settings, settings.jwt_jwks_url)
        self._accounts = settings.service_account_emails
        self._google = _key_set(settings, settings.oidc_jwks_url if self._accounts else None)

    def caller(self, authorization: str | None) -> Caller:
        """Return the caller that an ``Authorization`` header identifies.

        Raises:
            Unauthenticated: no bearer token, or one that is malformed, forged, expired or for another audience.
            Retryable: the keys to verify it with cannot be fetched.
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
            # Claims with impossible values: an infinite expiry, a subject that is not a UUID.
            raise Unauthenticated("invalid") from None

    def _caller(self, token: str) -> Caller:
        # Not verified yet: these claims only select the key to verify the token with.
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
        assert self._google is not None  # noqa: S101 - the only caller has checked it
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
    """Verify signature, time, audience and issuer of a token, and return its claims.

    Where ``audience`` or ``issuer`` is None, that claim is not checked.

    Raises:
        jwt.PyJWTError: the token is not valid; the type says why.
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
