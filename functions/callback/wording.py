"""Write mails: facts in, subject, plain text and HTML out. Pure but for reading the templates of `shared/languages`."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from functions.callback.mail import InlineImage, Letter
from shared import languages

_LONGEST_NAME = 120


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
    language, event = languages.spoken(facts.language), one_line(facts.event)
    sentences = _sentences(language)
    return _letter(
        "invitation",
        language,
        sentences.invitation_subject(event),
        {
            "event": event,
            "inviter": one_line(facts.inviter or "") or None,
            "photos": facts.photos,
            "message": _paragraphs(facts.message or ""),
            "link": facts.link,
            "last_day": sentences.day(facts.last_day),
            "can_reply": facts.can_reply,
        },
        images,
    )


def clustering_finished(language: str, persons: int) -> str:
    """Return the sentence for the event's creator."""
    sentence: str = _sentences(languages.spoken(language)).clustering_finished(persons)
    return sentence


def clustering_finished_letter(language: str, event: str, persons: int, link: str) -> Letter:
    """The mail that tells the event's creator."""
    sentence = clustering_finished(language, persons)
    name = one_line(event)
    facts = {"event": name, "sentence": sentence, "link": link}
    return _letter("clustering_finished", languages.spoken(language), f"{sentence} ({name})", facts, ())


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


def _letter(name: str, language: str, subject: str, facts: Mapping[str, Any], images: Sequence[InlineImage]) -> Letter:
    values = {**facts, "subject": subject, "language": language, "images": [image.name for image in images]}
    templates = _templates(languages.FOLDER)
    return Letter(
        language=language,
        subject=subject,
        text=templates.get_template(f"{language}/{name}.txt").render(values),
        html=templates.get_template(f"{language}/{name}.html").render(values),
        images=tuple(images),
    )


def _sentences(language: str) -> Any:  # noqa: ANN401 - its macros are known to jinja2 alone
    """The macros of a language: text in and out, escaped where a template puts it into HTML."""
    return _templates(languages.FOLDER).get_template(f"{language}/sentences.jinja").module


@cache
def _templates(folder: Path) -> Environment:
    return Environment(
        loader=FileSystemLoader((folder, Path(__file__).with_name("mails"))),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
