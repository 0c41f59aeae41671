"""E-mail addresses: validation, and the normal form in which they are stored and compared."""

from __future__ import annotations

import re
import unicodedata
from email.errors import MessageError
from email.headerregistry import Address

import idna

# Quoted local parts, comments and groups are refused: real addresses do not use them, and they allow header injection.
_ADDRESS = r"(?P<user>[^\s\x00-\x1f\x7f@<>()\[\],;:\\\"]{1,64})@(?P<domain>[^\s\x00-\x1f\x7f@<>()\[\],;:\\\"]{1,253})"
_MAILBOX = re.compile(rf"(?:(?P<name>[^\x00-\x1f\x7f<>]*)<(?=.*>$))?{_ADDRESS}(?(name)>)")
_LONGEST_LABEL = 63
_REFUSED = "must be name@example.org or Name <name@example.org>"

# The five constants below are the same as in trombi_address and trombi_folded_address (sql/migrations/0001_host.sql).
# Invisible characters (Unicode's Default_Ignorable_Code_Point). A zero width joiner or non-joiner is kept between
# letters of the scripts that use it (U+0600 to U+1CFF: Arabic, the Indic scripts): there it makes a different word, and
# a different domain.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
    "|(?<![\u0600-\u1cff])[\u200c\u200d]|[\u200c\u200d](?![\u0600-\u1cff])"
)
_WHITESPACE = " \t\n\v\f\r\x85\u1680\u2028\u2029"
_FULL_STOP = "\u3002"
# A sigma at the end of a Greek word.
_FINAL_SIGMA = re.compile("(?<=[\u0370-\u03ff\u1f00-\u1fff])\u03c3(?![\u0370-\u03ff\u1f00-\u1fff])")
_A_LABEL = re.compile(r"xn--[a-z0-9-]+")


def normal_address(text: str) -> str:
    """Return the normal form in which addresses are stored and compared, for any text; the function is idempotent.

    The form is Unicode's NFKC in lower case, without invisible characters and surrounding whitespace; the domain's
    labels are in Unicode instead of punycode, without a final dot. The local part is in lower case too: no common
    provider distinguishes ``Ada@`` from ``ada@``. Dots and ``+tag`` in the local part are kept, since their meaning
    differs between providers. In the local part, a Greek sigma at the end of a word is written as a final sigma and
    any other as a medial one, since their capital letter is the same; in a domain the two are different characters.
    The database's ``trombi_address`` returns the same form.
    """
    folded = _folded(text)
    local, at, domain = folded.rpartition("@")
    if not at:
        return folded
    local = _FINAL_SIGMA.sub("\u03c2", local.replace("\u03c2", "\u03c3"))
    return f"{local}@{'.'.join(_unicode_label(label) for label in domain.removesuffix('.').split('.'))}"


def _folded(text: str) -> str:
    visible = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).replace(_FULL_STOP, ".")
    # Character by character: str.lower() of a whole text makes a sigma depend on the letters around it.
    lowered = "".join(character.lower() for character in visible)
    return unicodedata.normalize("NFKC", lowered).strip(_WHITESPACE)


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
    """Validate and normalise an address that somebody entered; called once, where the address comes in.

    Raises:
        ValueError: the text is no address, more than one, or an address with a display name.
    """
    address = normal_address(text)
    if "<" in address or not is_mailbox(address):
        raise ValueError("must be an e-mail address, as name@example.org")
    return address


def parse_mailbox(text: str) -> Address:
    """Parse ``Name <name@example.org>`` or a bare address; the result has the domain in its ASCII form.

    Raises:
        ValueError: the text is no address, more than one, or contains a control character.
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
    """Return whether `parse_mailbox` accepts the text."""
    try:
        parse_mailbox(text)
    except ValueError:
        return False
    return True


def _ascii_domain(domain: str) -> str:
    """Encode a domain by IDNA 2008 with the mapping that browsers use (UTS 46): ``straße.de`` is not ``strasse.de``.

    Raises:
        ValueError: a label is empty, too long, or not allowed.
    """
    if domain.isascii():
        # Not encoded: a host name of the local network may contain an underscore, which IDNA refuses.
        labels = domain.removesuffix(".").split(".")
        if any(not 0 < len(label) <= _LONGEST_LABEL for label in labels):
            raise ValueError(_REFUSED)
        return domain.removesuffix(".")
    return idna.encode(domain, uts46=True).decode("ascii")
