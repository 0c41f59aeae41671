"""The tables of `terraform/README.md`, made from the Terraform files: ``python -m tests.terraform.readme_tables``."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.terraform.checks import SETTINGS
from tests.terraform.provider_schema import ROOT

FOLDER = ROOT / "terraform"
README = FOLDER / "README.md"
_BLOCK = re.compile(r'^(variable|output) "(\w+)" \{\n(.*?)^\}', re.MULTILINE | re.DOTALL)
_MARK = re.compile(r"(<!-- BEGIN (\w+) -->\n).*?(<!-- END \2 -->)", re.DOTALL)


def variables(text: str) -> str:
    """Every variable: name, what it is, default."""
    lines = ["| variable | what | default |", "|---|---|---|"]
    for kind, name, body in _BLOCK.findall(text):
        if kind == "variable":
            lines.append(f"| `{name}` | {_description(body)} | {_default(body)} |")
    return "\n".join(lines)


def outputs(text: str) -> str:
    """Every output: name and what it is."""
    lines = ["| output | what |", "|---|---|"]
    lines += [f"| `{name}` | {_description(body)} |" for kind, name, body in _BLOCK.findall(text) if kind == "output"]
    return "\n".join(lines)


def sizes(text: str) -> str:
    """What each size is: instances from and to, processors, memory; the database."""
    found = {}
    for size in ("small", "medium", "large"):
        (body,) = re.findall(rf"^    {size} = \{{\n(.*?)^    \}}", text, re.MULTILINE | re.DOTALL)
        found[size] = dict(re.findall(r"^      (\w+) += (.+)$", body, re.MULTILINE))
    lines = ["| | small | medium | large |", "|---|---|---|---|"]
    for function in SETTINGS:
        cells = []
        for made in found.values():
            part = dict(re.findall(r'(\w+) = "?([\w.]+)"?', made[function]))
            instances = f"{part['min']} to {part['max']} of {part['cpu']} vCPU, {part['memory']}"
            cells.append(f"{instances}, {part['concurrency']} at a time")
        lines.append(f"| {function} | {' | '.join(cells)} |")
    tiers = [
        f"{made['tier'].strip(chr(34))}, {'regional' if made['regional'] == 'true' else 'one zone'}, "
        f"{made['max_connections']} connections"
        for made in found.values()
    ]
    lines.append(f"| Cloud SQL | {' | '.join(tiers)} |")
    return "\n".join(lines)


def _description(body: str) -> str:
    (quoted,) = re.findall(r'^  description = ("(?:[^"\\]|\\.)*")$', body, re.MULTILINE)
    return str(json.loads(quoted)).replace("|", r"\|")


def _default(body: str) -> str:
    found = re.search(r"^  default +=(.*)$", body, re.MULTILINE)
    if found is None:
        return "required"
    value = found[1].strip()
    if value == "{}" and "optional(" in body:
        return "see its type"
    return f"`{value}`"


def filled(text: str) -> str:
    """The README with every table as the Terraform files have it."""
    tables = {
        "variables": variables((FOLDER / "variables.tf").read_text()),
        "outputs": outputs((FOLDER / "outputs.tf").read_text()),
        "sizes": sizes((FOLDER / "main.tf").read_text()),
    }
    return _MARK.sub(lambda match: f"{match[1]}{tables[match[2]]}\n{match[3]}", text)


def main(readme: Path = README) -> None:
    """Write the README anew."""
    readme.write_text(filled(readme.read_text()))


if __name__ == "__main__":
    main()
