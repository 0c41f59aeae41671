"""The checks of the page's JavaScript see what they are there for."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from local import page_check

# Each line that ends with "wrong" is a mistake.
_MISTAKES = """
import { get } from "WEB/api.js";
import { titleOf } from "WEB/naming.js";
import { t } from "WEB/words.js";

/** @param {string} id */
export async function show(id) {
  const { items } = await get(`/person/${id}/faces?limit=4`);
  const [face] = items;
  console.log(face.thumbnail_url, t.photos(2), t.unlink);
  console.log(face.thumbnail); // wrong
  console.log((await get(`/persons/${id}`)).items); // wrong
  console.log(t.unlinked); // wrong
  console.log(t.photos("two")); // wrong
  titleOf(face); // wrong
}
"""


@pytest.mark.long
def test_a_mistake_in_a_type_is_found(tmp_path: Path) -> None:
    page_check.write_api_types()
    web = page_check.ROOT / "functions/admin/page/web"
    (tmp_path / "mistakes.js").write_text(_MISTAKES.replace("WEB", str(web)), encoding="utf-8")
    incomplete = tmp_path / "languages/de"
    shutil.copytree(page_check.ROOT / "shared/languages", incomplete.parent)
    shutil.copytree(incomplete.parent / "en", incomplete)
    words = (incomplete / "words.js").read_text(encoding="utf-8")
    (incomplete / "words.js").write_text(words.replace("  withdraw:", "  withdrawn:", 1), encoding="utf-8")
    project = {
        "extends": str(page_check.ROOT / "tsconfig.json"),
        "compilerOptions": {"incremental": False, "tsBuildInfoFile": None},
        "include": ["mistakes.js", "languages/*/*.js"],
    }
    (tmp_path / "tsconfig.json").write_text(json.dumps(project), encoding="utf-8")

    told = page_check.run("tsc", "--project", str(tmp_path / "tsconfig.json"))
    assert told.returncode != 0
    found = {int(line) for line in re.findall(r"mistakes\.js\((\d+),", told.stdout)}
    lines = _MISTAKES.splitlines()
    assert found == {number for number, line in enumerate(lines, 1) if line.endswith("wrong")}, told.stdout
    assert re.findall(r"languages/(\w+)/words\.js", told.stdout) == ["de"], told.stdout


def test_a_likely_mistake_is_found(tmp_path: Path) -> None:
    shutil.copy(page_check.ROOT / "biome.jsonc", tmp_path)
    script = tmp_path / "functions/admin/page/web/mistake.js"
    script.parent.mkdir(parents=True)
    script.write_text("export const same = (/** @type {number} */ one) => one == NaN;\n", encoding="utf-8")
    told = page_check.run(
        "biome", "ci", "--error-on-warnings", "--colors=off", "--config-path", str(tmp_path), str(script)
    )
    assert told.returncode != 0
    assert "useIsNan" in told.stdout + told.stderr


def test_missing_checkers_are_told_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_check, "_TOOLS", tmp_path)
    with pytest.raises(page_check.ToolsMissing, match="make lint"):
        page_check.run("tsc")
