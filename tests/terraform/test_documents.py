"""README, runbook and example say what is."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

import pytest

from tests.terraform.checks import WATCHED, WATCHED_DATABASE, runbook_anchors
from tests.terraform.configurations import IMAGES
from tests.terraform.mistakes import MISTAKES
from tests.terraform.provider_schema import ROOT
from tests.terraform.readme_tables import README, filled, variables
from tests.terraform.workspace import workspace

DOCUMENTS = (README, ROOT / "docs" / "runbook.md", ROOT / "docs" / "scale.md")


def test_the_tables_are_those_of_the_files() -> None:
    text = README.read_text()
    assert filled(text) == text, "run make terraform-readme"
    assert text.count("| `") > 30


def test_a_table_says_what_is_required_and_what_is_the_default() -> None:
    made = variables(
        'variable "one" {\n  description = "First."\n  type = string\n}\n\n'
        'variable "two" {\n  description = "A \\"second\\"."\n  default = 3\n}\n'
    )
    assert made.splitlines()[2:] == ["| `one` | First. | required |", '| `two` | A "second". | `3` |']


def test_the_readme_counts_the_mistakes() -> None:
    assert f"seeds {len(MISTAKES)} mistakes" in README.read_text()


def test_the_runbook_has_an_entry_for_each_alert_and_each_says_what_to_do() -> None:
    text = (ROOT / "docs" / "runbook.md").read_text()
    assert set(WATCHED) | set(WATCHED_DATABASE) <= runbook_anchors()
    entries = re.split(r"^## ", text.split("# Without an alert")[0], flags=re.MULTILINE)[1:]
    assert {entry.splitlines()[0] for entry in entries} == set(WATCHED) | set(WATCHED_DATABASE)
    for entry in entries:
        assert all(word in entry for word in ("**Means.**", "**Look.**", "**Mend.**")), entry.splitlines()[0]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_to_headings_lead_somewhere(document: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#([\w-]+)\)", document.read_text()):
        text = ((document.parent / target) if target else document).read_text()
        headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}, (
            f"{target}#{anchor}"
        )


def test_tables_and_columns_that_the_runbook_asks_for_exist() -> None:
    schema = (ROOT / "sql" / "schema.sql").read_text()
    text = (ROOT / "docs" / "runbook.md").read_text()
    named = set(re.findall(r"\bFROM (?!pg_)(\w+)", text))
    assert len(named) > 5
    for name in named:
        assert re.search(rf"CREATE (TABLE|VIEW) {name}\b", schema), name


def test_the_example_is_valid_and_asks_for_little() -> None:
    example = json.loads((ROOT / "terraform" / "example.tfvars.json").read_text())
    assert "secrets" not in example
    filled_in = {**example, "images": IMAGES}
    with tempfile.TemporaryDirectory() as folder, workspace(Path(folder)) as made:
        made.give(filled_in)
        assert "Plan: " in made.terraform("plan", "-input=false", "-no-color")
