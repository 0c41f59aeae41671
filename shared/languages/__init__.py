"""The languages of the web page and the mails: one folder each, with all texts in that language.

==================== =========================================================================
`words.js`           the web page's texts (`words.d.ts` lists them)
`consent.js`         the text that an organiser agrees to, and its version
`noscript.txt`       what the web page shows without JavaScript
`sentences.jinja`    subjects of mails, and the format of dates and counts
`invitation.*`       the mail that asks somebody whether a person is them, as text and as HTML
`clustering_finished.*`  the mail that tells an event's creator that clustering has finished
==================== =========================================================================

A folder's name is the language's tag, such as `fr` or `pt-BR`. To add a language, add a folder.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

FOLDER = Path(__file__).parent
FILES = frozenset(
    {
        *("words.js", "consent.js", "noscript.txt", "sentences.jinja"),
        *("invitation.txt", "invitation.html", "clustering_finished.txt", "clustering_finished.html"),
    }
)
# For readers whose language has no folder.
_FALLBACK = "en"
# The pattern that the database checks (sql/migrations/0001_host.sql).
_TAG = re.compile(r"[a-z]{2}(-[A-Z]{2})?")


def languages(folder: Path | None = None) -> tuple[str, ...]:
    """Return the tags of all languages, in alphabetical order."""
    return tuple(sorted(path.name for path in (folder or FOLDER).iterdir() if _TAG.fullmatch(path.name)))


def spoken(wanted: str, folder: Path | None = None) -> str:
    """Return the language to use when `wanted` is asked for: the same, the same without its region, or English."""
    known = languages(folder)
    return next((tag for tag in (wanted, wanted[:2]) if tag in known), _FALLBACK)


class KnownLanguage:
    """Annotation of a text in an API request that must be one of the languages: ``Annotated[str, KnownLanguage]``."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Refuse every text that is not the tag of a language."""
        return core_schema.no_info_after_validator_function(_known, handler(source))

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """List the languages in the OpenAPI document."""
        return {**handler(schema), "enum": list(languages())}


def _known(language: str) -> str:
    known = languages()
    if language not in known:
        raise ValueError(f"no such language here: use one of {', '.join(known)}")
    return language
