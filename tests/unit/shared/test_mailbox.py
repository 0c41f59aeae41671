"""What counts as an e-mail address."""

from __future__ import annotations

import pytest

from shared.mailbox import is_mailbox, parse_mailbox


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("a@example.org", "", "a@example.org"),
        (" a.b+c@example.org\n", "", "a.b+c@example.org"),
        ("Trombi <no-reply@example.org>", "Trombi", "no-reply@example.org"),
        ('"Trombi, Inc." <a@example.org>', "Trombi, Inc.", "a@example.org"),
        ("<a@example.org>", "", "a@example.org"),
        ("a@exämple.org", "", "a@xn--exmple-cua.org"),
        ("élise@example.org", "", "élise@example.org"),
        ("a@localhost", "", "a@localhost"),
    ],
)
def test_an_address_is_understood(text: str, name: str, address: str) -> None:
    mailbox = parse_mailbox(text)
    assert (mailbox.display_name, f"{mailbox.username}@{mailbox.domain}") == (name, address)
    assert is_mailbox(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "a", "@", "a@", "@b", "a@b@c", "a b@c", "a@b c", "<>", "a@b>", "<a@b", "x <a@b> y"),
        # More than one, and what would add a header or a recipient.
        *("a@b, c@d", "a@b;c@d", "a@b\nBcc: c@d", "a@b\r\nBcc: c@d", "x\n <a@b>", "A <a@b> <c@d>", "a@b\0", "a\x7f@b"),
        *('"a b"@c', "a(comment)@b", "group: a@b;", "a@[127.0.0.1]"),
        *("a@.b", "a@b..c", "a@" + "x" * 64, "x" * 65 + "@b"),
    ],
)
def test_what_is_no_single_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be name@"):
        parse_mailbox(text)
    assert not is_mailbox(text)
