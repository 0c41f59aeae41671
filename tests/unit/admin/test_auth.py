"""Who is calling: only a token that is signed, current and for us is believed."""

from __future__ import annotations

import base64
import hmac
import json
import time
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.admin.door.auth import Authenticator, Caller, Unauthenticated
from functions.admin.settings import AdminSettings

SECRET = "a secret of 64 bytes or more, enough for HS512 " + "x" * 32
AUDIENCE = "authenticated"
USER = uuid4()
A_DAY = 86_400  # seconds; tokens made while tests are collected are used minutes later


def claims(**changed: Any) -> dict[str, Any]:
    complete = {"sub": str(USER), "aud": AUDIENCE, "exp": int(time.time()) + A_DAY, **changed}
    return {name: value for name, value in complete.items() if value is not None}


def token(secret: str = SECRET, algorithm: str = "HS256", **changed: Any) -> str:
    return jwt.encode(claims(**changed), secret, algorithm=algorithm)


def by_hand(header: object, payload: object = None, signature: str = "") -> str:
    parts = [json.dumps(part).encode() for part in (header, claims() if payload is None else payload)]
    return ".".join([*(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts), signature])


def authenticator(**changed: Any) -> Authenticator:
    needed = {
        "database_url": "postgres://host/trombi",
        "google_cloud_project": "project",
        "derived_bucket": "derived",
        "jwt_secret": SECRET,
    }
    return Authenticator(AdminSettings.model_validate(needed | changed))


KNOWN = authenticator()


def believed(authorization: str | None, known: Authenticator = KNOWN) -> Caller:
    return known.caller(authorization)


def refusal(authorization: str | None, known: Authenticator = KNOWN) -> str:
    with pytest.raises(Unauthenticated) as caught:
        known.caller(authorization)
    return caught.value.reason


def test_a_user_is_known_by_the_token_s_subject() -> None:
    assert believed(f"Bearer {token()}") == Caller(user_id=USER, is_service=False)
    assert believed(f"bearer  {token()} ") == Caller(user_id=USER, is_service=False)


def test_the_host_app_s_server_is_known_by_its_role() -> None:
    assert believed(f"Bearer {token(role='service_role', sub=None)}") == Caller(user_id=None, is_service=True)


def test_another_role_gives_nothing() -> None:
    assert believed(f"Bearer {token(role='authenticated')}").is_service is False
    assert believed(f"Bearer {token(role=['service_role'])}").is_service is False


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", "Basic abc", token()])
def test_no_bearer_token(authorization: str | None) -> None:
    assert refusal(authorization) == "missing"


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("no token", "nonsense"),
        ("empty parts", ".."),
        ("not ASCII", "é.é.é"),
        ("forged with another secret", token(secret="another secret of at least 64 bytes, for the forger " + "y" * 32)),
        ("a header that is a list", by_hand([])),
        ("a payload that is a list", by_hand({"alg": "HS256"}, [])),
        ("a signature of nothing", by_hand({"alg": "HS256"})),
        ("no expiry", token(exp=None)),
        ("an expiry that is no number", token(exp="soon")),
        ("no subject", token(sub=None)),
        ("a subject that is no id", token(sub="somebody")),
        ("a subject that is a number", jwt.encode(claims(sub="1"), SECRET, algorithm="HS256")),
        ("a changed payload", ".".join([token().split(".")[0], by_hand({}).split(".")[1], token().split(".")[2]])),
        ("a thousand nested lists", base64.urlsafe_b64encode(b"[" * 30_000).decode() + ".e30.AAAA"),
    ],
)
def test_a_token_that_is_not_to_be_believed(what: str, text: str) -> None:
    assert refusal(f"Bearer {text}") == "invalid", what


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("alg none", by_hand({"alg": "none", "typ": "JWT"})),
        ("alg None with a signature", by_hand({"alg": "None"}, signature="AAAA")),
        ("alg HS512 with the right secret", token(algorithm="HS512")),
        ("alg a list", by_hand({"alg": ["HS256"]})),
        ("no alg", by_hand({})),
        ("alg HS384 with the right secret", token(algorithm="HS384")),
        ("alg RS256 signed with the secret as a key", by_hand({"alg": "RS256"}, signature="AAAA")),
    ],
)
def test_no_other_algorithm_is_believed_whatever_the_token_says_of_itself(what: str, text: str) -> None:
    assert refusal(f"Bearer {text}") == "algorithm", what


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_a_token_of_the_future_is_told_apart(claim: str) -> None:
    far: dict[str, Any] = {claim: int(time.time()) + 600}
    near: dict[str, Any] = {claim: int(time.time()) + 5}
    assert refusal(f"Bearer {token(**far)}") == "not_yet_valid"
    assert believed(f"Bearer {token(**near)}").user_id == USER


def test_the_issuer_is_looked_at_where_it_is_set() -> None:
    known = authenticator(jwt_issuer="https://issuer.example/auth")
    assert believed(f"Bearer {token(iss='https://issuer.example/auth')}", known).user_id == USER
    assert refusal(f"Bearer {token(iss='https://another.example')}", known) == "issuer"
    assert refusal(f"Bearer {token()}", known) == "invalid"
    assert believed(f"Bearer {token(iss='anybody')}").user_id == USER


@pytest.mark.parametrize("issuer", [None, "supabase", "https://issuer.example/auth"])
def test_a_key_for_servers_has_no_audience_and_an_issuer_of_its_own(issuer: str | None) -> None:
    known = authenticator(jwt_issuer="https://issuer.example/auth")
    assert believed(f"Bearer {token(role='service_role', aud=None, sub=None, iss=issuer)}", known).is_service


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"role": "anon", "aud": None}, "invalid"),
        ({"role": "authenticated", "aud": None}, "invalid"),
        ({"role": "service_role", "aud": "another"}, "audience"),
        ({"role": "service_role", "aud": []}, "invalid"),
        ({"role": "service_role", "aud": None, "iss": "https://another.example"}, "issuer"),
        ({"role": "service_role", "aud": None, "exp": None}, "invalid"),
        ({"role": "service_role", "aud": None, "exp": 1}, "expired"),
    ],
)
def test_what_only_looks_like_a_key_for_servers_is_none(changed: dict[str, Any], reason: str) -> None:
    known = authenticator(jwt_issuer="https://issuer.example/auth")
    text = token(**{"iss": "https://issuer.example/auth", **changed})
    assert refusal(f"Bearer {text}", known) == reason


def test_without_a_shared_secret_no_token_is_verified_with_one() -> None:
    known = authenticator(jwt_secret=None, jwt_jwks_url="https://issuer.example/keys")
    assert refusal(f"Bearer {token()}", known) == "algorithm"
    nothing = hmac.digest(b"", signed := by_hand({"alg": "HS256"}).rstrip(".").encode(), "sha256")
    signature = base64.urlsafe_b64encode(nothing).rstrip(b"=").decode()
    assert refusal(f"Bearer {signed.decode()}.{signature}", known) == "algorithm"


def test_an_expired_token_is_told_apart_with_some_leeway_for_clocks() -> None:
    assert refusal(f"Bearer {token(exp=int(time.time()) - 60)}") == "expired"
    assert believed(f"Bearer {token(exp=int(time.time()) - 5)}").user_id == USER


@pytest.mark.parametrize("audience", ["another", ["one", "two"]])
def test_a_token_for_somebody_else(audience: object) -> None:
    assert refusal(f"Bearer {token(aud=audience)}") == "audience"


def test_a_token_without_an_audience_is_not_believed() -> None:
    assert refusal(f"Bearer {token(aud=None)}") == "invalid"


# ---------------------------------------------------------------- any text at all


@settings(deadline=None)
@given(text=st.text() | st.binary().map(lambda data: base64.urlsafe_b64encode(data).decode() + "." * (len(data) % 4)))
def test_no_header_whatsoever_is_an_error(text: str) -> None:
    for authorization in (text, f"Bearer {text}", f"Bearer {text}.{text}.{text}"):
        assert refusal(authorization) in {"missing", "invalid", "algorithm"}


@settings(deadline=None)
@given(
    payload=st.dictionaries(
        st.sampled_from(["sub", "aud", "exp", "role", "nbf", "iat"]),
        st.none() | st.text() | st.integers() | st.floats(allow_nan=True) | st.lists(st.text()),
    )
)
def test_a_signed_token_with_any_claims_is_a_caller_or_refused(payload: dict[str, Any]) -> None:
    signed = jwt.PyJWS().encode(json.dumps(payload).encode(), SECRET, algorithm="HS256")
    try:
        caller = believed(f"Bearer {signed}")
    except Unauthenticated:
        return
    assert caller.is_service or isinstance(caller.user_id, UUID)
