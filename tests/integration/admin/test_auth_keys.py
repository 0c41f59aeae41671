"""Tokens signed with an issuer's own keys: fetched from a real server, rotated, away, and never hammered."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from functions.admin.door.auth import Authenticator, Caller, Unauthenticated
from functions.admin.door.key_sets import KeySet
from functions.admin.settings import AdminSettings
from shared.errors import Retryable

USER = uuid4()
ACCOUNT = "uploader@project.iam.gserviceaccount.example"
ADDRESS = "https://admin.example"
SECRET = "a secret of at least 32 characters"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ANOTHER_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SMALL_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=1024)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()


def published(key: Any, key_id: str, **changed: Any) -> dict[str, Any]:
    """A key as a set holds it."""
    maker: Any = {rsa.RSAPrivateKey: RSAAlgorithm, ec.EllipticCurvePrivateKey: ECAlgorithm}.get(
        next((kind for kind in (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey) if isinstance(key, kind)), object),
        OKPAlgorithm,
    )
    return {**maker.to_jwk(key.public_key(), as_dict=True), "kid": key_id, "use": "sig", **changed}


@dataclass
class Issuer:
    """A server that publishes ``keys``; ``requests`` counts how often it was asked."""

    url: str = ""
    keys: list[Any] = field(default_factory=list)
    body: bytes | None = None
    status: int = 200
    requests: int = 0
    hold: threading.Event = field(default_factory=threading.Event)

    def answer(self) -> tuple[int, bytes]:
        self.requests += 1
        self.hold.wait(10)
        return self.status, json.dumps({"keys": self.keys}).encode() if self.body is None else self.body


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    made.hold.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = made.answer()
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_port}/keys"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        server.shutdown()
        thread.join()


def authenticator(issuer: Issuer, **changed: Any) -> Authenticator:
    settings = {
        "database_url": "postgres://host/trombi",
        "google_cloud_project": "project",
        "derived_bucket": "derived",
        "jwt_jwks_url": issuer.url,
        "jwks_min_interval": 0,
        "jwks_timeout": 5,
    }
    return Authenticator(AdminSettings.model_validate(settings | changed))


def token(key: Any, algorithm: str, key_id: str | None = "1", **changed: Any) -> str:
    claims = {"sub": str(USER), "aud": "authenticated", "exp": int(time.time()) + 600, **changed}
    present = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(present, key, algorithm, headers={} if key_id is None else {"kid": key_id})


def believed(known: Authenticator, text: str) -> Caller:
    return known.caller(f"Bearer {text}")


def refusal(known: Authenticator, text: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        known.caller(f"Bearer {text}")
    return caught.value.reason


# ---------------------------------------------------------------- users


@pytest.mark.parametrize(("key", "algorithm"), [(RSA_KEY, "RS256"), (EC_KEY, "ES256"), (ED_KEY, "EdDSA")])
def test_a_user_s_token_is_verified_with_the_key_that_its_issuer_publishes(
    issuer: Issuer, key: Any, algorithm: str
) -> None:
    issuer.keys = [published(key, "1")]
    known = authenticator(issuer)
    assert issuer.requests == 0, "nothing is fetched before a token needs it"
    assert believed(known, token(key, algorithm)) == Caller(USER, is_service=False)
    assert believed(known, token(key, algorithm)).user_id == USER
    assert issuer.requests == 1
    assert refusal(known, token(key, algorithm, exp=1)) == "expired"
    assert refusal(known, token(key, algorithm, aud="another")) == "audience"
    assert refusal(known, token(key, algorithm, aud=None)) == "invalid"
    assert refusal(known, token(key, algorithm, sub=None)) == "invalid"


def test_a_token_of_another_key_is_not_believed(issuer: Issuer) -> None:
    issuer.keys = [published(RSA_KEY, "1")]
    assert refusal(authenticator(issuer), token(ANOTHER_RSA_KEY, "RS256")) == "invalid"


def test_the_role_of_a_server_is_not_to_be_had_from_an_issuer_of_users(issuer: Issuer) -> None:
    issuer.keys = [published(RSA_KEY, "1")]
    known = authenticator(issuer)
    assert believed(known, token(RSA_KEY, "RS256", role="service_role")) == Caller(USER, is_service=False)
    assert refusal(known, token(RSA_KEY, "RS256", role="service_role", aud=None, sub=None)) == "invalid"


def test_a_public_key_is_never_a_shared_secret(issuer: Issuer) -> None:
    issuer.keys = [published(RSA_KEY, "1")]
    public = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    claims = {"sub": str(USER), "aud": "authenticated", "exp": int(time.time()) + 600, "role": "service_role"}
    signed = ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in ({"alg": "HS256", "typ": "JWT", "kid": "1"}, claims)
    )
    signature = base64.urlsafe_b64encode(hmac.digest(public, signed.encode(), "sha256")).rstrip(b"=").decode()
    assert refusal(authenticator(issuer), f"{signed}.{signature}") == "algorithm"
    assert refusal(authenticator(issuer, jwt_secret=SECRET), f"{signed}.{signature}") == "invalid"


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
def test_a_key_verifies_by_one_algorithm_alone(issuer: Issuer, algorithm: str) -> None:
    issuer.keys = [published(RSA_KEY, "1")]
    assert refusal(authenticator(issuer), token(RSA_KEY, algorithm)) == "algorithm"


@pytest.mark.parametrize(
    "entry",
    [
        {"kty": "oct", "k": base64.urlsafe_b64encode(SECRET.encode()).decode(), "kid": "1"},
        published(RSA_KEY, "1", alg="RS512"),
        published(RSA_KEY, "1", alg="HS256"),
        published(RSA_KEY, "1", use="enc"),
        published(RSA_KEY, "another"),
        published(RSA_KEY, "1", n="!"),
        {"kty": "RSA", "kid": "1"},
        {"kty": "EC", "crv": "P-521", "kid": "1"},
        {"kty": ["RSA"], "kid": "1"},
        {"kid": 1},
        "no key",
    ],
)
def test_a_key_that_is_not_for_this_is_not_used_and_does_no_harm_to_others(issuer: Issuer, entry: Any) -> None:
    issuer.keys = [entry, published(EC_KEY, "2")]
    known = authenticator(issuer)
    assert refusal(known, token(RSA_KEY, "RS256")) == "unknown_key"
    assert believed(known, token(EC_KEY, "ES256", "2")).user_id == USER


def test_a_key_that_is_too_small_is_not_believed(issuer: Issuer) -> None:
    issuer.keys = [published(SMALL_RSA_KEY, "1")]
    with pytest.warns(jwt.warnings.InsecureKeyLengthWarning):
        weak = token(SMALL_RSA_KEY, "RS256")
    assert refusal(authenticator(issuer), weak) == "invalid"


def test_a_token_without_a_key_id_is_not_believed(issuer: Issuer) -> None:
    issuer.keys = [published(RSA_KEY, "1")]
    assert refusal(authenticator(issuer), token(RSA_KEY, "RS256", None)) == "unknown_key"


def test_both_kinds_of_token_are_believed_side_by_side(issuer: Issuer) -> None:
    issuer.keys = [published(EC_KEY, "1")]
    known = authenticator(issuer, jwt_secret=SECRET)
    assert believed(known, token(EC_KEY, "ES256")).user_id == USER
    assert believed(known, token(SECRET, "HS256", None)).user_id == USER


# ---------------------------------------------------------------- rotation and outages


def test_a_new_key_is_fetched_when_a_token_names_it_and_an_old_one_is_forgotten(issuer: Issuer) -> None:
    issuer.keys = [published(RSA_KEY, "1")]
    known = authenticator(issuer)
    believed(known, token(RSA_KEY, "RS256", "1"))
    issuer.keys = [published(ANOTHER_RSA_KEY, "2")]
    assert believed(known, token(ANOTHER_RSA_KEY, "RS256", "2")).user_id == USER
    assert refusal(known, token(RSA_KEY, "RS256", "1")) == "unknown_key"


def test_made_up_key_ids_do_not_hammer_the_issuer(issuer: Issuer) -> None:
    issuer.keys = [published(RSA_KEY, "1")]
    known = authenticator(issuer, jwks_min_interval=60)
    for number in range(50):
        assert refusal(known, token(ANOTHER_RSA_KEY, "RS256", f"made up {number}")) == "unknown_key"
    assert believed(known, token(RSA_KEY, "RS256", "1")).user_id == USER
    assert issuer.requests == 1


@pytest.mark.parametrize("keys", [[], [{"kty": "oct", "kid": "1", "k": "AAAA"}]])
def test_an_issuer_without_usable_keys_is_not_hammered_either(issuer: Issuer, keys: list[Any]) -> None:
    issuer.keys = keys
    known = authenticator(issuer, jwks_min_interval=60)
    for _ in range(5):
        assert refusal(known, token(RSA_KEY, "RS256")) == "unknown_key"
    assert issuer.requests == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, b""), (404, b"{}"), (302, b""), (200, b"<html>"), (200, b"[]"), (200, b""), (200, b"\xff\xfe")],
)
def test_an_issuer_that_is_away_is_told_as_away_and_not_hammered(issuer: Issuer, status: int, body: bytes) -> None:
    issuer.status, issuer.body = status, body
    known = authenticator(issuer, jwks_min_interval=60)
    for _ in range(5):
        with pytest.raises(Retryable, match="keys"):
            believed(known, token(RSA_KEY, "RS256"))
    assert issuer.requests == 1


def test_nobody_at_the_address_is_away_too() -> None:
    known = authenticator(Issuer(url="http://127.0.0.1:1/keys"))
    with pytest.raises(Retryable):
        believed(known, token(RSA_KEY, "RS256"))


def test_one_fetch_serves_all_who_wait_for_it(issuer: Issuer) -> None:
    issuer.keys = [published(RSA_KEY, "1")]
    issuer.hold.clear()
    known = authenticator(issuer, jwks_min_interval=60)
    text = token(RSA_KEY, "RS256")
    found: list[UUID | None] = []
    threads = [threading.Thread(target=lambda: found.append(believed(known, text).user_id)) for _ in range(8)]
    for thread in threads:
        thread.start()
    issuer.hold.set()
    for thread in threads:
        thread.join()
    assert (found, issuer.requests) == ([USER] * 8, 1)


class Clock:
    """Monotonic seconds that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_keys_outlive_an_outage_but_not_for_ever(issuer: Issuer) -> None:
    clock = Clock()
    keys = KeySet(issuer.url, timeout=5, min_interval=30, clock=clock)
    issuer.keys = [published(RSA_KEY, "1")]
    assert keys.key("1") is not None
    issuer.status = 500
    clock.now = 3600
    assert keys.key("1") is not None
    assert issuer.requests == 2, "it was asked for again when it was no longer fresh"
    with pytest.raises(Retryable):
        keys.key("2")
    assert issuer.requests == 2
    clock.now = 25 * 3600
    with pytest.raises(Retryable):
        keys.key("1")
    issuer.status = 200
    clock.now += 31
    assert keys.key("1") is not None


def test_a_key_that_was_withdrawn_is_not_believed_once_the_set_is_fetched_again(issuer: Issuer) -> None:
    clock = Clock()
    keys = KeySet(issuer.url, timeout=5, min_interval=30, clock=clock)
    issuer.keys = [published(RSA_KEY, "1")]
    assert keys.key("1") is not None
    issuer.keys = [published(RSA_KEY, "2")]
    clock.now = 599
    assert keys.key("1") is not None
    clock.now = 601
    assert keys.key("1") is None


# ---------------------------------------------------------------- service accounts


def google(issuer: Issuer, **changed: Any) -> Authenticator:
    issuer.keys = [published(RSA_KEY, "google")]
    needed = {
        "jwt_jwks_url": None,
        "jwt_secret": SECRET,
        "oidc_jwks_url": issuer.url,
        "service_accounts": f"another@project.example, {ACCOUNT.upper()}",
        "service_audience": ADDRESS,
    }
    return authenticator(issuer, **needed | changed)


def identity(**changed: Any) -> str:
    claims = {
        "iss": "https://accounts.google.com",
        "sub": "104",
        "aud": ADDRESS,
        "email": ACCOUNT,
        "email_verified": True,
    }
    return token(RSA_KEY, "RS256", "google", **claims | changed)


@pytest.mark.parametrize("name", ["https://accounts.google.com", "accounts.google.com"])
def test_a_listed_service_account_asks_for_the_host_app_s_server(issuer: Issuer, name: str) -> None:
    assert believed(google(issuer), identity(iss=name)) == Caller(None, is_service=True)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"email": "stranger@gmail.example"}, "account"),
        ({"email": None}, "account"),
        ({"email_verified": False}, "account"),
        ({"email_verified": None}, "account"),
        ({"email_verified": "true"}, "account"),
        ({"aud": "https://another.example"}, "audience"),
        ({"aud": "authenticated"}, "audience"),
        ({"aud": None}, "invalid"),
        ({"exp": 1}, "expired"),
        ({"iss": "https://accounts.google.com.evil.example"}, "algorithm"),
        ({"iss": None}, "algorithm"),
    ],
)
def test_any_other_identity_token_is_not_believed(issuer: Issuer, changed: dict[str, Any], reason: str) -> None:
    assert refusal(google(issuer), identity(**changed)) == reason


def test_without_listed_accounts_google_is_not_even_asked(issuer: Issuer) -> None:
    known = google(issuer, service_accounts="", service_audience=None)
    assert refusal(known, identity()) == "algorithm"
    assert issuer.requests == 0


def test_a_key_of_users_signs_no_identity_token_and_google_s_no_user(issuer: Issuer) -> None:
    known = google(issuer, jwt_jwks_url="http://127.0.0.1:1/keys")
    assert refusal(known, token(EC_KEY, "ES256", "users", iss="https://accounts.google.com")) == "unknown_key"
    with pytest.raises(Retryable):  # asks the issuer of users, who is away
        believed(known, token(RSA_KEY, "RS256", "google"))
