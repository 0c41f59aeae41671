"""The words of mails: facts in, subject, plain text and HTML out. Pure but for reading the templates beside it."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from functions.callback.mail import InlineImage, Letter

_LONGEST_NAME = 120
_MONTHS = {
    "fr": (
        *("janvier", "février", "mars", "avril", "mai", "juin"),
        *("juillet", "août", "septembre", "octobre", "novembre", "décembre"),
    ),
    "en": (
        *("January", "February", "March", "April", "May", "June"),
        *("July", "August", "September", "October", "November", "December"),
    ),
}
_NO_BREAK = "\N{NO-BREAK SPACE}"
_CLUSTERING_FINISHED = {
    "fr": ("Analyse terminée : {n} personne détectée", "Analyse terminée : {n} personnes détectées"),
    "en": ("Analysis finished: {n} person found", "Analysis finished: {n} people found"),
}
_INVITATION_SUBJECT = {
    "fr": "Est-ce vous sur les photos de «\N{NO-BREAK SPACE}{event}\N{NO-BREAK SPACE}»\N{NARROW NO-BREAK SPACE}?",
    "en": "Is this you in the photos of “{event}”?",
}
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("mails")),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


@dataclass(frozen=True)
class InvitationFacts:
    """What the mail of an invitation tells. ``last_day`` is the last on which the link works all day (UTC)."""

    language: str
    event: str
    inviter: str | None
    photos: int
    message: str | None
    link: str
    last_day: date
    can_reply: bool


def invitation(facts: InvitationFacts, images: Sequence[InlineImage]) -> Letter:
    """The mail that asks somebody whether the faces are theirs."""
    language, event = _known(facts.language), one_line(facts.event)
    return _letter(
        "invitation",
        language,
        _INVITATION_SUBJECT[language].format(event=event),
        {
            "event": event,
            "inviter": one_line(facts.inviter or "") or None,
            "photos": facts.photos,
            "message": _paragraphs(facts.message or ""),
            "link": facts.link,
            "last_day": in_words(facts.last_day, language),
            "can_reply": facts.can_reply,
        },
        images,
    )


def clustering_finished(language: str, persons: int) -> str:
    """The sentence for the event's creator. French counts 0 as singular, English does not."""
    one, many = _CLUSTERING_FINISHED[_known(language)]
    is_one = persons < 2 if language == "fr" else persons == 1  # noqa: PLR2004 - two is the first plural
    return (one if is_one else many).format(n=persons)


def clustering_finished_letter(language: str, event: str, persons: int, link: str) -> Letter:
    """The mail that tells the event's creator."""
    sentence = clustering_finished(language, persons)
    name = one_line(event)
    facts = {"event": name, "sentence": sentence, "link": link}
    return _letter("clustering_finished", _known(language), f"{sentence} ({name})", facts, ())


def in_words(day: date, language: str) -> str:
    """The day as people write it: ``1er décembre 2026``, ``1 December 2026``, on one line."""
    number = "1er" if day.day == 1 and language == "fr" else str(day.day)
    return _NO_BREAK.join((number, _MONTHS[language][day.month - 1], str(day.year)))


def one_line(text: str, longest: int = _LONGEST_NAME) -> str:
    """A name as a line may hold it: no line break, nothing that controls the terminal or the writing direction."""
    words = " ".join("".join(_shown(character) for character in text).split())
    return words if len(words) <= longest else words[: longest - 1].rstrip() + "…"


def _paragraphs(text: str) -> str:
    """Somebody's message, its lines kept."""
    return "\n".join(one_line(line, len(line) + 1) for line in text.strip().splitlines())


def _shown(character: str) -> str:
    category = unicodedata.category(character)
    # Emoji are joined by a format character; the others turn the writing direction or are not seen at all.
    if category in ("Cf", "Co", "Cs", "Cn") and character != "\N{ZERO WIDTH JOINER}":
        return ""
    return " " if category in ("Cc", "Zl", "Zp") else character


def _known(language: str) -> str:
    return language if language in _MONTHS else "en"


def _letter(name: str, language: str, subject: str, facts: Mapping[str, Any], images: Sequence[InlineImage]) -> Letter:
    values = {**facts, "subject": subject, "language": language, "images": [image.name for image in images]}
    return Letter(
        language=language,
        subject=subject,
        text=_TEMPLATES.get_template(f"{name}.{language}.txt").render(values),
        html=_TEMPLATES.get_template(f"{name}.{language}.html").render(values),
        images=tuple(images),
    )
