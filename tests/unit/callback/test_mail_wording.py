"""The words of mails: both languages whole, hostile names harmless."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from html import unescape

import pytest

from functions.callback import wording
from functions.callback.mail import InlineImage, MailContent
from functions.callback.settings import CallbackSettings
from functions.callback.wording import InvitationFacts
from shared.errors import SettingsError

LINK = "https://photos.example.org/invite/token"
FRENCH = InvitationFacts(
    language="fr",
    event="Fête d’été",
    inviter="Zoé",
    photos=12,
    message="Coucou\nà bientôt",
    link=LINK,
    last_day=date(2026, 12, 1),
    can_reply=True,
)
ENGLISH = replace(FRENCH, language="en", event="Summer party", message="Hi\nsee you")
TWO = (InlineImage("face-1", b"1"), InlineImage("face-2", b"2"))


def visible(letter: MailContent) -> str:
    """What the HTML says, without markup."""
    without_markup = re.sub(r"<style>.*?</style>|<[^>]+>", " ", letter.html, flags=re.DOTALL)
    return re.sub(r"[ \n]+", " ", unescape(without_markup))


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (
            FRENCH,
            (
                *("Zoé trie les photos de «\xa0Fête d’été\xa0»", "12\xa0photos montrent le même visage"),
                *("Zoé vous écrit\xa0:", "Coucou", "à bientôt", "«\xa0C’est moi\xa0»", "«\xa0Ce n’est pas moi\xa0»"),
                *("jusqu’au 1er\xa0décembre\xa02026 inclus", "répondre à ce message", "Si vous ne répondez pas"),
            ),
        ),
        (
            ENGLISH,
            (
                *("Zoé is sorting the photos of “Summer party”", "12 photos show the same face"),
                *("Zoé writes:", "Hi", "see you", "“It’s me”", "“Not me”", "until 1\xa0December\xa02026 inclusive"),
                *("just reply to this message", "If you do not answer"),
            ),
        ),
    ],
)
def test_an_invitation_says_who_asks_what_and_until_when_in_text_and_in_html(
    facts: InvitationFacts, said: tuple[str, ...]
) -> None:
    letter = wording.invitation(facts, TWO)
    for words in said:
        assert words in letter.text
        assert words in visible(letter)
    assert LINK in letter.text.splitlines()
    assert f'href="{LINK}"' in letter.html
    assert f'<html lang="{facts.language}">' in letter.html


def test_french_is_set_as_french_is() -> None:
    letter = wording.invitation(FRENCH, TWO)
    for text in (letter.subject, letter.text, visible(letter)):
        assert "'" not in text
        # No line may begin with what belongs to the word before it.
        assert not re.search(r"[^\S\xa0\u202f][:;!?»]|«[^\S\xa0\u202f]", text.replace(LINK, ""))


def test_each_image_has_a_text_for_who_does_not_see_it() -> None:
    html = wording.invitation(FRENCH, TWO).html
    assert re.findall(r'src="cid:([^"]+)"[^>]*alt="([^"]+)"', html) == [
        ("face-1", "Visage 1 sur 2"),
        ("face-2", "Visage 2 sur 2"),
    ]
    assert "<img" not in wording.invitation(FRENCH, ()).html


@pytest.mark.parametrize("facts", [FRENCH, ENGLISH])
def test_what_is_not_known_is_left_out(facts: InvitationFacts) -> None:
    bare = wording.invitation(replace(facts, inviter=None, message=None, photos=1, can_reply=False), ())
    for text in (bare.text, visible(bare)):
        assert "None" not in text
        assert "Zoé" not in text
        assert "Coucou" not in text
        assert ("L’organisateur" in text) or ("The organiser" in text)
        assert ("une photo montre" in text) or ("one photo shows" in text)
        assert "répondre à ce message" not in text
        assert "reply to this message" not in text


@pytest.mark.parametrize("facts", [FRENCH, ENGLISH])
def test_hostile_names_neither_break_the_page_nor_add_a_line(facts: InvitationFacts) -> None:
    hostile = "</p><script>alert(1)</script>\"'\r\nBcc: a@b\u202egnp.exe\x1b[2J"
    letter = wording.invitation(replace(facts, event=hostile, inviter=hostile, message=hostile), TWO)
    assert "<script" not in letter.html
    assert "&lt;script&gt;" in letter.html
    assert len(letter.subject.splitlines()) == 1
    plain = wording.invitation(facts, TWO)
    assert len(letter.text.splitlines()) == len(plain.text.splitlines())
    for text in (letter.subject, letter.text, letter.html):
        assert not set("\u202e\x1b\r") & set(text)


def test_a_message_is_quoted_line_by_line() -> None:
    text = wording.invitation(replace(ENGLISH, message="one\n\n> two\u2028three"), ()).text
    assert "> one\n> \n> > two\n> three\n" in text


def test_a_long_name_is_cut_and_emoji_stay_whole() -> None:
    assert wording.one_line("x" * 500) == "x" * 119 + "…"
    family = "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}"
    assert wording.one_line(f" {family}  é ") == f"{family} é"


@pytest.mark.parametrize(
    ("language", "subject", "said"),
    [
        ("fr", "Analyse terminée : 2 personnes détectées (Fête)", ("Dire qui est qui", "Rien n’est associé")),
        ("en", "Analysis finished: 2 people found (Fête)", ("Say who is who", "unless you say so")),
        ("de", "Analysis finished: 2 people found (Fête)", ("Say who is who", "unless you say so")),
    ],
)
def test_the_end_of_an_analysis_is_told_with_the_way_to_the_page(
    language: str, subject: str, said: tuple[str, ...]
) -> None:
    letter = wording.clustering_finished_mail(language, "Fête", 2, "https://x.org/events/1/analyse")
    assert letter.subject == subject
    for words in said:
        assert words in letter.text
        assert words in visible(letter)
    assert "https://x.org/events/1/analyse" in letter.text.splitlines()
    assert 'href="https://x.org/events/1/analyse"' in letter.html


# ---------------------------------------------------------------- settings

ENOUGH = {"DATABASE_URL": "postgresql://x", "GOOGLE_CLOUD_PROJECT": "p", "DERIVED_BUCKET": "derived"}
WITH_MAIL = {
    "SMTP_URL": "smtp://user:verysecret@mail.example.org",
    "MAIL_FROM": "Trombi <no-reply@example.org>",
    "PUBLIC_URL": "https://photos.example.org/",
    "INVITATION_SECRET": "x" * 32,
}


def read(monkeypatch: pytest.MonkeyPatch, **environment: str) -> CallbackSettings:
    for name in WITH_MAIL:
        monkeypatch.delenv(name, raising=False)
    for name, value in {**ENOUGH, **environment}.items():
        monkeypatch.setenv(name, value)
    return CallbackSettings.from_environment()


def test_mail_settings_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch, **WITH_MAIL)
    mail = settings.mail()
    assert mail is not None
    assert (mail.public_url, str(mail.sender)) == ("https://photos.example.org", "Trombi <no-reply@example.org>")
    assert mail.server.password == "verysecret"
    assert "verysecret" not in repr(settings)
    assert "xxx" not in repr(mail) + repr(settings)


def test_without_a_server_nothing_else_of_mail_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch).mail() is None
    assert read(monkeypatch, SMTP_URL="").mail() is None


@pytest.mark.parametrize("missing", ["MAIL_FROM", "PUBLIC_URL", "INVITATION_SECRET"])
def test_with_a_server_the_rest_is_needed_and_named(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    with pytest.raises(SettingsError, match=rf"{missing}: .*is required when SMTP_URL is set"):
        read(monkeypatch, **{name: value for name, value in WITH_MAIL.items() if name != missing})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SMTP_URL", "mail.example.org"),
        ("MAIL_FROM", "nobody"),
        ("PUBLIC_URL", "photos.example.org"),
        ("INVITATION_SECRET", "short"),
    ],
)
def test_a_setting_that_is_wrong_is_named_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises(SettingsError, match=name) as caught:
        read(monkeypatch, **{**WITH_MAIL, name: value})
    assert "verysecret" not in str(caught.value)
