"""Languages are folders: each has every file, and one more folder is one more language everywhere."""

from __future__ import annotations

import json
import re
import shutil
from datetime import date
from pathlib import Path

import flask_openapi3.utils as openapi_utils
import pytest
from pydantic import TypeAdapter, ValidationError

from functions.admin.invitations.routes import Language
from functions.admin.page import routes as pages
from functions.callback import wording
from functions.callback.wording import InvitationFacts
from local.page_check import api_document
from shared import languages

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def german(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All languages, and a copy of English under the tag ``de``."""
    folder = tmp_path / "languages"
    shutil.copytree(languages.FOLDER, folder)
    shutil.copytree(folder / "en", folder / "de")
    monkeypatch.setattr(languages, "FOLDER", folder)
    # Other tests of this process keep the schemas that they made, with the languages that there were.
    made_anew = getattr(openapi_utils.get_model_schema, "__wrapped__", openapi_utils.get_model_schema)
    monkeypatch.setattr(openapi_utils, "get_model_schema", made_anew)
    return folder / "de"


@pytest.mark.parametrize("tag", languages.languages())
def test_a_language_has_every_file_and_no_other(tag: str) -> None:
    assert {path.name for path in (languages.FOLDER / tag).iterdir()} == languages.FILES


def words_of(tag: str) -> list[str]:
    """The names of a language's words; but for the keys of the keyboard, which each language calls its own way."""
    text = (languages.FOLDER / tag / "words.js").read_text(encoding="utf-8")
    text = re.sub(r"^  keys: \{.*?^  \},", "  keys: {},", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r'^ +("[^"]+"|\w+):', text, re.MULTILINE)


def test_every_language_has_every_word_of_the_page() -> None:
    """By name; the type checker compares what each word takes and gives (`make lint`)."""
    named = {tag: set(words_of(tag)) for tag in languages.languages()}
    assert len(named["en"]) > 200
    assert {tag: names ^ named["en"] for tag, names in named.items()} == {tag: set() for tag in named}


def test_who_wants_what_nobody_speaks_is_spoken_to_in_english(german: Path) -> None:
    assert german.is_dir()
    assert [languages.spoken(tag) for tag in ("de", "de-AT", "fr", "pt-BR", "")] == ["de", "de", "fr", "en", "en"]


def test_a_folder_more_is_a_language_more(german: Path) -> None:
    (german / "noscript.txt").write_text("Diese Seite <braucht> JavaScript.\n", encoding="utf-8")
    sentences = german / "sentences.jinja"
    sentences.write_text(sentences.read_text(encoding="utf-8").replace("January", "Januar"), encoding="utf-8")
    mail = german / "invitation.txt"
    mail.write_text(mail.read_text(encoding="utf-8").replace("Hello", "Hallo"), encoding="utf-8")

    facts = InvitationFacts("de", "Fest", "Zoé", 2, None, "https://x.example.org/i", date(2027, 1, 2), can_reply=False)
    letter = wording.invitation(facts, ())
    assert letter.language == "de"
    assert letter.text.startswith("Hallo,")
    assert "2\N{NO-BREAK SPACE}Januar\N{NO-BREAK SPACE}2027" in letter.text

    web = pages.web()
    assert web.files["words.de.js"].plain == (german / "words.js").read_bytes()
    assert web.files["consent.de.js"].plain == (german / "consent.js").read_bytes()
    page = web.documents["app.html"].plain.decode()
    assert 'data-languages="de en fr"' in page
    assert '<p class="state" lang="de">Diese Seite &lt;braucht&gt; JavaScript.</p>' in page

    assert TypeAdapter(Language).validate_python("de") == "de"
    with pytest.raises(ValidationError, match="no such language here: use one of de, en, fr"):
        TypeAdapter(Language).validate_python("it")
    schemas = json.loads(api_document())["components"]["schemas"]
    assert ["de", "en", "fr"] in [
        option.get("enum") for option in schemas["InviteGuest"]["properties"]["language"]["anyOf"]
    ]


def test_no_code_but_that_of_languages_names_one() -> None:
    """No list of languages, and no choice by one, outside their folders."""
    sources = [
        *(path for folder in ("functions", "shared") for path in (ROOT / folder).rglob("*.py")),
        *(ROOT / "functions/admin/page/web").glob("*.js"),
        *(ROOT / "functions/admin/page/web").glob("*.html"),
    ]
    naming = {path.name for path in sources if re.search(r"""["']fr["']""", path.read_text(encoding="utf-8"))}
    assert naming == set()
