# ruff: noqa: RUF001 - letters of many scripts are what it is about
"""The database's form of an address is Python's, for whatever is written in its place."""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Sequence

import pytest

from shared.database import Connection
from shared.mailbox import normal_address

# Letters whose capital is another letter's too, or two letters: told apart (docs/decisions/0019). The sharp s; the
# dotless i; the iota below other vowels, the lunate sigma and Cyrillic letters of old books.
_TOLD_APART = re.compile("[ßẞıͅϲϹᲀ-ᲈᾀ-ᾯᾲ-ᾴᾷᾼῂ-ῄῇῌῲ-ῴῷῼ]")
# Letters that Unicode added later than the oldest Python and Postgres know are nobody's address yet.
_EVERY_CHARACTER = [
    chr(point) for point in range(1, 0x110000) if unicodedata.category(chr(point)) not in {"Cn", "Co", "Cs"}
]
_SPELLINGS = (
    *("ada@example.org", " Ada@Example.ORG ", "ADA@EXAMPLE.ORG.", "ada", "@", "a@b@C", "", "ada@", "a@.", "a@b..c"),
    *("jo@BÜCHER.example", "jo@xn--bcher-kva.example", "jo@XN--BCHER-KVA.example", "jo@bu\u0308cher.example"),
    *("ｊｏ＠ｂüｃｈｅｒ．ｅｘａｍｐｌｅ", "jo@bücher\u3002example", "\ufeffj\u200bo@b\u00adücher.exam\u2060ple"),
    *("ΝΙΚΟΣ.ΣΑΣ-Σ@x.org", "νικοσ.σας-σ@x.org", "ςΣς2Σ@x.org", "σ\u0323ς@ς.org"),
    *("J\u030c@x.org", "\u0130@x.org", "ΣΟΦΟΣ@ΣΟΦΟΣ.gr", "σοφοσ@xn--0xaaa0bc.gr", "\u1e9e@STRA\u1e9eE.de"),
    *("a@xn--strae-oqa.de", "a@straße.de", "a@strasse.de", "a@xn--", "a@xn---", "a@xn--a", "a@xn--abc-"),
    *("a@xn--99999999", "a@xn--bcher-kvax"),
    *("a@xn--mgba3gch31f060k.ir", "a@نامه\u200cای.ir", "a@نامهای.ir", "a@xn--ls8h.la", "a@💩.la", "a@xn--u-ccb.x"),
)  # fmt: skip


def _of_database(connection: Connection, texts: Sequence[str]) -> list[str]:
    rows = connection.execute(
        "SELECT trombi_address(text) AS form FROM unnest(%s::text[]) WITH ORDINALITY AS given (text, number)"
        " ORDER BY number",
        (list(texts),),
    ).fetchall()
    return [row["form"] for row in rows]


def _random_addresses(count: int) -> list[str]:
    """Real letters, labels in punycode, and labels that only look like it."""
    rng = random.Random(15)
    letters = "abzABZ019-.@ éÉßçÇñ\u0301\u200c\u200dİıΣσςαᾷ中文Ωдحﬁ²．"
    made = []
    for _ in range(count):
        text = "".join(rng.choices(letters, k=rng.randint(1, 12)))
        coded = "".join(character for character in text if character not in ".@ ").encode("punycode").decode()
        nonsense = "".join(rng.choices("abcxyz0189-", k=rng.randint(0, 20)))
        made += [f"{text}@{text}.org", f"x@xn--{coded}.org", f"x@XN--{coded.upper()}", f"x@xn--{nonsense}"]
    return made


def test_the_database_and_python_give_an_address_the_same_form(connection: Connection) -> None:
    each = [f"a{character}b@c{character}d.org" for character in _EVERY_CHARACTER[::23]]
    letters = [f"{character}@{character}.org" for character in _EVERY_CHARACTER if character.lower() != character]
    given = [*_SPELLINGS, *each, *letters, *_random_addresses(600)]
    expected = [normal_address(text) for text in given]
    different = [
        (text, here, there)
        for text, here, there in zip(given, expected, _of_database(connection, given), strict=True)
        if here != there
    ]
    assert different == []
    assert [normal_address(form) for form in expected] == expected, "doing it again changes something"


def test_no_letter_in_use_makes_another_address_by_its_case() -> None:
    made_different = [
        character
        for character in _EVERY_CHARACTER
        for other in {character.upper(), character.title(), character.casefold()} - {character}
        if normal_address(f"α{other}@x.org") != normal_address(f"α{character}@x.org")
    ]
    assert [character for character in made_different if not _TOLD_APART.match(character)] == []


@pytest.mark.parametrize(
    "texts",
    [
        (
            "jo@bücher.example",
            "JO@xn--bcher-kva.EXAMPLE",
            "jo@bu\u0308cher.example.",
            "\u200bｊｏ@bücher。example\u00a0",
        ),
        ("νικος.σας@example.org", "ΝΙΚΟΣ.ΣΑΣ@EXAMPLE.org", "Νικος.Σας@example.org", "νικοσ.ςασ@example.org"),
        ("élise@example.org", "E\u0301LISE@example.org", "É\u2060lise@EXAMPLE.org"),
    ],
)
def test_an_address_has_one_form_however_it_is_spelled(texts: tuple[str, ...]) -> None:
    assert {normal_address(text) for text in texts} == {texts[0]}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # Other domains; a tag, which not every provider takes for the same box; a joiner that makes another word.
        ("a@straße.de", "a@strasse.de"),
        ("a+b@example.org", "a@example.org"),
        ("a@σοφος.gr", "a@σοφοσ.gr"),
        ("a@نامه\u200cای.ir", "a@نامهای.ir"),
    ],
)
def test_addresses_of_different_people_stay_different(one: str, other: str) -> None:
    assert normal_address(one) != normal_address(other)
