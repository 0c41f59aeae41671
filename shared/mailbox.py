"""E-mail addresses as people write them: what counts as one, and the one form in which they are kept and compared."""

from __future__ import annotations

import re
import unicodedata
from email.errors import MessageError
from email.headerregistry import Address

import idna

# Without quoted local parts, comments and groups: nobody's address has them, and header injection lives there.
_ADDRESS = r"(?P<user>[^\s\x00-\x1f\x7f@<>()\[\],;:\\\"]{1,64})@(?P<domain>[^\s\x00-\x1f\x7f@<>()\[\],;:\\\"]{1,253})"
_MAILBOX = re.compile(rf"(?:(?P<name>[^\x00-\x1f\x7f<>]*)<(?=.*>$))?{_ADDRESS}(?(name)>)")
_LONGEST_LABEL = 63
_REFUSED = "must be name@example.org or Name <name@example.org>"

# The five below are the ones of trombi_address and trombi_folded_address (sql/migrations/0001_host.sql).
# What nobody sees (Unicode's Default_Ignorable_Code_Point). A joiner stays between letters of the scripts that write
# with it (U+0600 to U+1CFF: Arabic, the Indian ones): there it makes another word, and another domain.
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
    "|(?<![\u0600-\u1cff])[\u200c\u200d]|[\u200c\u200d](?![\u0600-\u1cff])"
)
_BLANK = " \t\n\v\f\r\x85\u1680\u2028\u2029"
_FULL_STOP = "\u3002"
# A sigma that ends a word of Greek letters.
_LAST_SIGMA = re.compile("(?<=[\u0370-\u03ff\u1f00-\u1fff])\u03c3(?![\u0370-\u03ff\u1f00-\u1fff])")
_A_LABEL = re.compile(r"xn--[a-z0-9-]+")


def normal_address(text: str) -> str:
    """Return the form in which addresses are stored and compared, for any text; normalising twice changes nothing.

    Unicode's compatible composed form (NFKC) in small letters, without what nobody sees and blanks around it; the
    domain's labels in Unicode instead of punycode, without the root's dot. The local part in small letters, too: no
    provider of note tells ``Ada@`` from ``ada@``. A dot or a ``+tag`` in it stays: what it means is the provider's
    business, and differs. A sigma of the local part is the one that its place in the word asks for, since a capital one
    does not tell; in a domain the two sigmas make two domains. The database's ``trombi_address`` gives the same.
    """
    folded = _folded(text)
    local, at, domain = folded.rpartition("@")
    if not at:
        return folded
    local = _LAST_SIGMA.sub("\u03c2", local.replace("\u03c2", "\u03c3"))
    return f"{local}@{'.'.join(_unicode_label(label) for label in domain.removesuffix('.').split('.'))}"


def _folded(text: str) -> str:
    seen = _UNSEEN.sub("", unicodedata.normalize("NFKC", text)).replace(_FULL_STOP, ".")
    # Letter by letter, so that no letter depends on its neighbours as the Greek sigma does.
    small = "".join(letter.lower() for letter in seen)
    return unicodedata.normalize("NFKC", small).strip(_BLANK)


def _unicode_label(label: str) -> str:
    """Decode a domain's label from punycode; return it unchanged where it is not the punycode of a normalised label."""
    if not _A_LABEL.fullmatch(label):
        return label
    try:
        decoded = label.removeprefix("xn--").encode("ascii").decode("punycode")
        decoded.encode()
    except UnicodeError:
        return label
    return label if decoded.isascii() or _folded(decoded) != decoded else decoded


def address_of(text: str) -> str:
    """Validate and normalise an address that somebody entered: done once, where it comes in.

    Raises:
        ValueError: no address, or more than one, or one with a name.
    """
    address = normal_address(text)
    if "<" in address or not is_mailbox(address):
        raise ValueError("must be an e-mail address, as name@example.org")
    return address


def parse_mailbox(text: str) -> Address:
    """``Name <name@example.org>`` or the bare address; an international domain in its ASCII form.

    Raises:
        ValueError: no address, or more than one, or one with a control character.
    """
    found = _MAILBOX.fullmatch(text.strip())
    if found is None:
        raise ValueError(_REFUSED)
    try:
        domain = _ascii_domain(found["domain"])
        return Address(display_name=(found["name"] or "").strip().strip('"'), username=found["user"], domain=domain)
    except (ValueError, MessageError):
        raise ValueError(_REFUSED) from None


def is_mailbox(text: str) -> bool:
    """Whether `parse_mailbox` takes it."""
    try:
        parse_mailbox(text)
    except ValueError:
        return False
    return True


def _ascii_domain(domain: str) -> str:
    """By IDNA 2008 as browsers map it (UTS 46): ``straße.de`` is not ``strasse.de``.

    Raises:
        ValueError: a label is empty, too long, or not allowed.
    """
    if domain.isascii():
        # As it is: a name that the local network knows may have an underscore, which IDNA does not.
        labels = domain.removesuffix(".").split(".")
        if any(not 0 < len(label) <= _LONGEST_LABEL for label in labels):
            raise ValueError(_REFUSED)
        return domain.removesuffix(".")
    return idna.encode(domain, uts46=True).decode("ascii")
