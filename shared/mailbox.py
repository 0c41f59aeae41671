"""E-mail addresses as people write them: what counts as one."""

from __future__ import annotations

import re
from email.errors import MessageError
from email.headerregistry import Address

# Without quoted local parts, comments and groups: nobody's address has them, and header injection lives there.
_ADDRESS = r"(?P<user>[^\s\x00-\x1f\x7f@<>()\[\],;:\\\"]{1,64})@(?P<domain>[^\s\x00-\x1f\x7f@<>()\[\],;:\\\"]{1,253})"
_MAILBOX = re.compile(rf"(?:(?P<name>[^\x00-\x1f\x7f<>]*)<(?=.*>$))?{_ADDRESS}(?(name)>)")


def parse_mailbox(text: str) -> Address:
    """``Name <name@example.org>`` or the bare address; an international domain in its ASCII form.

    Raises:
        ValueError: no address, or more than one, or one with a control character.
    """
    found = _MAILBOX.fullmatch(text.strip())
    if found is None:
        raise ValueError("must be name@example.org or Name <name@example.org>")
    try:
        domain = found["domain"].encode("idna").decode("ascii")
        return Address(display_name=(found["name"] or "").strip().strip('"'), username=found["user"], domain=domain)
    except (ValueError, MessageError):
        raise ValueError("must be name@example.org or Name <name@example.org>") from None


def is_mailbox(text: str) -> bool:
    """Whether `parse_mailbox` takes it."""
    try:
        parse_mailbox(text)
    except ValueError:
        return False
    return True
