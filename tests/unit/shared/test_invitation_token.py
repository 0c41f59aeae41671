"""The token of an invitation's link."""

from __future__ import annotations

from uuid import UUID, uuid4

from shared.invitation_token import hash_token, make_token

SECRET = "a secret of at least 32 characters"
INVITATION = UUID("5a0f6c1e-9b3d-4e27-8a14-c2d7e6f80b93")


def test_the_same_invitation_always_has_the_same_token() -> None:
    # Kept as it is: another one, and the links of every mail that was sent before open nothing.
    assert make_token(SECRET, INVITATION) == "VeQRksodOd3H8iUBXYJ2qXIM3JyS9ygfXyjwcPHjxHk"


def test_a_token_is_43_characters_that_need_no_quoting_in_a_link() -> None:
    token = make_token(SECRET, uuid4())
    assert len(token) == 43
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_another_secret_or_invitation_makes_another_token() -> None:
    tokens = {make_token(SECRET, INVITATION), make_token(SECRET + "x", INVITATION), make_token(SECRET, uuid4())}
    assert len(tokens) == 3


def test_what_is_stored_is_a_hash_of_32_bytes_and_any_text_has_one() -> None:
    token = make_token(SECRET, INVITATION)
    assert len(hash_token(token)) == 32
    assert hash_token(token) != hash_token(token + "=")
    assert len({hash_token(text) for text in ("", "\udc80", "é" * 10_000, token)}) == 4
