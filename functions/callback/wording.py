"""Write the content of mails from facts. Pure, except that it reads the templates in `shared/languages`."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from functions.callback.mail import InlineImage, MailContent
from shared import languages

_LONGEST_NAME = 120


@dataclass(frozen=True)
class InvitationFacts:
    """What an invitation's mail says. ``last_day`` is the last day (UTC) on which the link works until midnight."""

    language: str
    event: str
    inviter: str | None
    photos: int
    message: str | None
    link: str
    last_day: date
    can_reply: bool


def invitation(facts: InvitationFacts, images: Sequence[InlineImage]) -> MailContent:
    """Write the mail that asks somebody whether the faces are theirs."""
    language, event = languages.spoken(facts.language), one_line(facts.event)
    sentences = _sentences(language)
    return _render(
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
    """Return the sentence that says how many persons a clustering found."""
    sentence: str = _sentences(languages.spoken(language)).clustering_finished(persons)
    return sentence


def clustering_finished_mail(language: str, event: str, persons: int, link: str) -> MailContent:
    """Write the mail that tells the event's creator that clustering has finished."""
    sentence = clustering_finished(language, persons)
    name = one_line(event)
    facts = {"event": name, "sentence": sentence, "link": link}
    return _render("clustering_finished", languages.spoken(language), f"{sentence} ({name})", facts, ())


def one_line(text: str, longest: int = _LONGEST_NAME) -> str:
    """Make a name safe for one line of text: no line break, no control of the terminal or the writing direction.

    A text of more than ``longest`` characters is cut and ends in an ellipsis.
    """
    words = " ".join("".join(_shown(character) for character in text).split())
    return words if len(words) <= longest else words[: longest - 1].rstrip() + "…"


def _paragraphs(text: str) -> str:
    """Make a person's message safe for display, and keep its lines."""
    return "\n".join(one_line(line, len(line) + 1) for line in text.strip().splitlines())


def _shown(character: str) -> str:
    category = unicodedata.category(character)
    # The zero width joiner joins emoji; the other format characters are invisible or change the writing direction.
    if category in ("Cf", "Co", "Cs", "Cn") and character != "\N{ZERO WIDTH JOINER}":
        return ""
    return " " if category in ("Cc", "Zl", "Zp") else character


def _render(
    name: str, language: str, subject: str, facts: Mapping[str, Any], images: Sequence[InlineImage]
) -> MailContent:
    values = {**facts, "subject": subject, "language": language, "images": [image.name for image in images]}
    templates = _templates(languages.FOLDER)
    return MailContent(
        language=language,
        subject=subject,
        text=templates.get_template(f"{language}/{name}.txt").render(values),
        html=templates.get_template(f"{language}/{name}.html").render(values),
        images=tuple(images),
    )


def _sentences(language: str) -> Any:  # noqa: ANN401 - only jinja2 knows its macros
    """Return a language's macros; they return plain text, which a template escapes where it inserts it into HTML."""
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
