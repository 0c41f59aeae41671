"""The public keys to verify tokens with, as their issuer publishes them (JWKS)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt

from shared.errors import Retryable
from shared.log import logger

# A set is fetched again after this long, so that a revoked key is not trusted for ever.
_FRESH_SECONDS = 600.0
# While the issuer cannot be reached, its keys are trusted for this long.
_TRUSTED_SECONDS = 24 * 3600.0

# The only algorithm accepted for each kind of key; symmetric keys are never accepted, whatever a set says.
_ALGORITHMS = {"RSA": "RS256", "EC P-256": "ES256", "OKP Ed25519": "EdDSA"}


@dataclass(frozen=True)
class PublicKey:
    """A key, and the only algorithm that it may verify."""

    key: Any
    algorithm: str


class KeySet:
    """One issuer's keys, fetched on first use and again when a key id is unknown.

    There are at least ``min_interval`` seconds between two attempts, successful or not: tokens with made-up key ids
    must not cause a flood of requests to the issuer. ``clock`` is monotonic, in seconds.
    """

    def __init__(
        self, url: str, *, timeout: float, min_interval: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = jwt.PyJWKClient(url, cache_jwk_set=False, timeout=timeout)
        self._min_interval = min_interval
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str, PublicKey] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None

    def key(self, key_id: str) -> PublicKey | None:
        """Return the key with that id, or None where the issuer has none.

        Raises:
            Retryable: the issuer cannot be reached, and the key was not fetched before.
        """
        if self._age() > _FRESH_SECONDS or key_id not in self._keys:
            with self._lock:
                if self._age() > _FRESH_SECONDS or key_id not in self._keys:
                    self._fetch()
        found = self._keys.get(key_id) if self._age() <= _TRUSTED_SECONDS else None
        if found is None and self._fetched_at != self._tried_at:
            raise Retryable("the keys to verify tokens with could not be fetched")
        return found

    def _age(self) -> float:
        return float("inf") if self._fetched_at is None else self._clock() - self._fetched_at

    def _fetch(self) -> None:
        now = self._clock()
        if self._tried_at is not None and now - self._tried_at < self._min_interval:
            return
        self._tried_at = now
        try:
            keys = _usable(self._client.fetch_data())
        except (jwt.PyJWTError, ValueError, OSError) as error:
            logger().warning("a key set could not be fetched", reason=type(error).__name__)
            return
        self._keys, self._fetched_at = keys, now


def _usable(content: dict[str, Any]) -> dict[str, PublicKey]:
    """Return by id the keys of a set that verify signatures with an accepted algorithm."""
    found: dict[str, PublicKey] = {}
    listed = content.get("keys")
    for entry in listed if isinstance(listed, list) else []:
        if not isinstance(entry, dict) or not isinstance(entry.get("kid"), str):
            continue
        # A set comes from outside: its values may be of any type.
        algorithm = _ALGORITHMS.get(f"{entry.get('kty')} {entry.get('crv', '')}".strip())
        if algorithm is None or entry.get("alg", algorithm) != algorithm or entry.get("use", "sig") != "sig":
            continue
        try:
            found[entry["kid"]] = PublicKey(jwt.PyJWK(entry, algorithm).key, algorithm)
        except jwt.PyJWTError:
            logger().warning("a key of a key set is not usable", key_type=str(entry["kty"]))
    return found
