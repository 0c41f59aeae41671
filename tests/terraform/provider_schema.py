"""The providers' schemas, read out of their bindings on PyPI: ``python -m tests.terraform.provider_schema``.

Terraform's own registry cannot be reached everywhere, but every attribute of a provider is also in its CDK bindings, as
comments and constructors of generated TypeScript. What `terraform/` uses of it is written to ``provider_schemas.json``
in the shape of ``terraform providers schema -json``, so that a clone needs neither registry nor bindings.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = Path(__file__).with_name("provider_schemas.json")

Json = dict[str, Any]


@dataclass(frozen=True)
class Bindings:
    """The wheel that carries a provider's bindings."""

    provider: str
    package: str
    version: str
    sha256: str


BINDINGS = (
    Bindings(
        provider="hashicorp/google",
        package="cdktn-provider-google",
        version="20.3.1",  # the provider's 7.46.1
        sha256="562d1a5f4d9850be9f43f53b9c1cbb1899f0ce7c8daaf1e7b51181287e82a380",
    ),
    Bindings(
        provider="hashicorp/random",
        package="cdktn-provider-random",
        version="15.0.1",
        sha256="b721666146e90086c08549e992576e6bb6e3c0e86699fe014b65b9dbe6275407",
    ),
)
# What the bindings do not tell: read in the provider's documentation.
_SENSITIVE = {
    "google_secret_manager_secret_version": ("secret_data", "secret_data_wo"),
    "google_sql_user": ("password", "password_wo"),
    "ephemeral.google_secret_manager_secret_version": ("secret_data",),
    "ephemeral.random_password": ("result", "bcrypt_hash"),
}
_SETS = {"google_storage_bucket": (("lifecycle_rule", "action"), ("lifecycle_rule", "condition"))}

_KINDS = {"TerraformResource": "", "TerraformDataSource": "data.", "TerraformEphemeralResource": "ephemeral."}
_SOURCE_MAP = re.compile(r"//# sourceMappingURL=data:application/json;base64,(\S+)")
_CLASS = re.compile(r"^export class (\w+) extends cdkt[fn]\.(\w+) \{$(.*?)^\}", re.MULTILINE | re.DOTALL)
_ATTRIBUTE = re.compile(
    r"^  // (?P<name>\w+) - computed: (?P<computed>\w+), optional: (?P<optional>\w+), required: (?P<required>\w+)\n"
    r"(?P<body>.*?)(?=^  // |\Z)",
    re.MULTILINE | re.DOTALL,
)
_NEW = re.compile(r"= new (?:cdkt[fn]\.)?(\w+)\(this, \"\w+\"(?:, (true|false))?\)")
_GETTER = re.compile(r"return (.*?)this\.get(\w+?)Attribute\('")
_INTERFACE = re.compile(r"^export interface (\w+)[^{\n]*\{$(.*?)^\}", re.MULTILINE | re.DOTALL)
_DOCUMENTED = re.compile(r"/\*\*(.*?)\*/", re.DOTALL)
_SIMPLE: dict[str, Any] = {
    "String": "string",
    "Number": "number",
    "Boolean": "bool",
    "List": ["list", "string"],
    "NumberList": ["list", "number"],
    "StringMap": ["map", "string"],
    "NumberMap": ["map", "number"],
    "BooleanMap": ["map", "bool"],
    "AnyMap": ["map", "dynamic"],
    "StringMapList": ["list", ["map", "string"]],
    "StringListList": ["list", ["list", "string"]],
    "StringListMap": ["map", ["list", "string"]],
    "BooleanList": ["list", "bool"],
}


class SchemaError(Exception):
    """The bindings are not as they were when this was written."""


def wanted_types(folder: Path) -> set[str]:
    """The types that Terraform files use: ``google_pubsub_topic``, ``data.google_project``, ``ephemeral.…``."""
    found = set()
    for path in folder.glob("*.tf"):
        for kind, name in re.findall(r'^(resource|data|ephemeral) "(\w+)"', path.read_text(), re.MULTILINE):
            found.add(name if kind == "resource" else f"{kind}.{name}")
    return {name for name in found if not name.startswith("terraform_")}


def schemas_in(source: str) -> Iterator[tuple[str, Json]]:
    """Every resource, data source and ephemeral resource of one TypeScript file, by its type's name.

    Raises:
        SchemaError: something in it is not understood.
    """
    classes = {name: (base, body) for name, base, body in _CLASS.findall(source)}
    values = _possible_values(source)
    for name, (base, body) in classes.items():
        if base in _KINDS:
            (type_name,) = set(re.findall(r"terraformResourceType: '(\w+)'", body))
            yield _KINDS[base] + type_name, {"version": 0, "block": _block(classes, values, name, f"{name}Config")}


def provider_block_in(source: str) -> Json:
    """The provider's own configuration, without what is not an attribute (``alias``)."""
    classes = {name: (base, body) for name, base, body in _CLASS.findall(source)}
    (name,) = [name for name, (base, _) in classes.items() if base == "TerraformProvider"]
    block: Json = {"attributes": {}, "block_types": {}}
    for found in _ATTRIBUTE.finditer(classes[name][1]):
        kind = re.search(r"private _\w+\?: ([^;]+);", found["body"])
        written = kind[1] if kind else ""
        types = {"string": "string", "{ [key: string]: string }": ["map", "string"], "string[]": ["list", "string"]}
        if found["name"] != "alias" and (written in types or written.startswith("boolean")):
            block["attributes"][found["name"]] = {"type": types.get(written, "bool"), "optional": True}
    return block


def _possible_values(source: str) -> dict[tuple[str, str], list[str]]:
    """What the documentation of an interface's member allows: ``(interface, snake_case_name) -> values``."""
    found = {}
    for interface, body in _INTERFACE.findall(source):
        for comment in _DOCUMENTED.findall(body):
            link = re.search(r"\{@link \S+#(\w+) ", comment)
            allowed = re.search(r"Possible values: \[([^\]]*)\]", comment)
            if link and allowed and '"' in allowed[1]:
                found[interface, link[1]] = re.findall(r'"([^"]*)"', allowed[1])
    return found


def _block(classes: dict[str, tuple[str, str]], values: dict[tuple[str, str], list[str]], name: str, doc: str) -> Json:
    block: Json = {"attributes": {}, "block_types": {}}
    for found in _ATTRIBUTE.finditer(classes[name][1]):
        member, body = found["name"], found["body"]
        flags = {flag: True for flag in ("computed", "optional", "required") if found[flag] == "true"}
        made = _NEW.search(body)
        if made and made[1] not in _SIMPLE:
            nested = _nested(classes, values, made[1])
            if "computed" in flags:
                nesting = "set" if made[2] == "true" else "list"
                block["attributes"][member] = {"type": [nesting, _as_type(nested)], **flags}
            else:
                block["block_types"][member] = _nesting(member, made, nested, is_required="required" in flags)
            continue
        attribute: Json = {"type": _SIMPLE[made[1]] if made else _simple_type(f"{name}.{member}", body), **flags}
        if f"{member}: this.markWriteOnlyAttribute(" in classes[name][1]:
            attribute["write_only"] = True
        if (doc, member) in values:
            attribute["values"] = values[doc, member]
        block["attributes"][member] = attribute
    return {kind: members for kind, members in block.items() if members}


def _nested(classes: dict[str, tuple[str, str]], values: dict[tuple[str, str], list[str]], made: str) -> Json:
    stem = re.sub(r"(OutputReference|List)$", "", made)
    if f"{stem}OutputReference" not in classes:
        message = f"no class describes what {made} holds"
        raise SchemaError(message)
    return _block(classes, values, f"{stem}OutputReference", stem)


def _nesting(member: str, made: re.Match[str], nested: Json, *, is_required: bool) -> Json:
    if member == "timeouts":
        return {"nesting_mode": "single", "block": nested}
    result: Json = {"nesting_mode": "set" if made[2] == "true" else "list", "block": nested}
    if is_required:
        result["min_items"] = 1
    if not made[1].endswith("List"):
        result["max_items"] = 1
    return result


def _simple_type(where: str, body: str) -> Any:
    getter = _GETTER.search(body)
    if getter is None or getter[2] not in _SIMPLE:
        message = f"{where}: no getter that is known in {body[:200]!r}"
        raise SchemaError(message)
    simple = _SIMPLE[getter[2]]
    return ["set", simple[1]] if "Fn.tolist(" in getter[1] else simple


def _as_type(block: Json) -> Any:
    members = {name: attribute["type"] for name, attribute in block.get("attributes", {}).items()}
    for name, nested in block.get("block_types", {}).items():
        members[name] = [nested["nesting_mode"], _as_type(nested["block"])]
    return ["object", dict(sorted(members.items()))]


def _corrected(name: str, schema: Json) -> Json:
    """The schema with what the bindings do not carry."""
    for attribute in _SENSITIVE.get(name, ()):
        schema["block"]["attributes"][attribute]["sensitive"] = True
    for outer, inner in _SETS.get(name, ()):
        schema["block"]["block_types"][outer]["block"]["block_types"][inner]["nesting_mode"] = "set"
    return schema


# ---------------------------------------------------------------- the command


def _download(bindings: Bindings, folder: Path) -> Path:
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"),
            *("--dest", str(folder), f"{bindings.package}=={bindings.version}"),
        ],
        check=True,
    )
    (wheel,) = folder.glob(f"{bindings.package.replace('-', '_')}-*.whl")
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != bindings.sha256:
        message = f"{wheel.name} has sha256 {found}, expected {bindings.sha256}"
        raise SchemaError(message)
    return wheel


def _sources(wheel: Path, provider: str, wanted: set[str]) -> Iterator[tuple[str, str]]:
    """The folder and the TypeScript of every type that may be wanted, and of the provider."""
    prefix = provider.split("/")[1]

    def plain(name: str) -> str:
        return name.rsplit(".", maxsplit=1)[-1].replace("_", "").removeprefix(prefix)

    names = {plain(name) for name in wanted}
    with zipfile.ZipFile(wheel) as archive:
        (inner,) = [name for name in archive.namelist() if name.endswith(".jsii.tgz")]
        with archive.open(inner) as compressed, tarfile.open(fileobj=compressed, mode="r|gz") as tar:
            for member in tar:
                parts = member.name.split("/")
                if len(parts) != 4 or parts[1] != "lib" or not parts[3].endswith(".js"):
                    continue
                stem = re.sub("^(data|ephemeral)-", "", parts[2]).replace("-", "").removeprefix(prefix)
                file = tar.extractfile(member) if stem in names or parts[2] == "provider" else None
                mapped = _SOURCE_MAP.search(file.read().decode()) if file else None
                if mapped:
                    yield parts[2], "\n".join(json.loads(base64.b64decode(mapped[1]))["sourcesContent"])


def schema_of_provider(bindings: Bindings, wanted: set[str], folder: Path) -> Json:
    """The part of a provider's schema that is wanted.

    Raises:
        SchemaError: the wheel is another one, or does not describe a type that is wanted.
    """
    prefix = bindings.provider.split("/")[1] + "_"
    own = {name for name in wanted if name.split(".")[-1].startswith(prefix)}
    wheel = _download(bindings, folder)
    joined: dict[str, str] = {}
    for name, source in _sources(wheel, bindings.provider, own):
        joined[name] = joined.get(name, "") + "\n" + source
    found: dict[str, Json] = {}
    for name, source in joined.items():
        if name != "provider":
            found |= {kind: _corrected(kind, schema) for kind, schema in schemas_in(source) if kind in own}
    if missing := own - set(found):
        message = f"{wheel.name} does not describe {', '.join(sorted(missing))}"
        raise SchemaError(message)
    versions = set(re.findall(r"providerVersion: '([^']+)'", "".join(joined.values())))
    return {
        "version": ", ".join(versions),
        "provider": {"version": 0, "block": provider_block_in(joined["provider"])},
        "resource_schemas": {name: schema for name, schema in sorted(found.items()) if "." not in name},
        "data_source_schemas": _below("data.", found),
        "ephemeral_resource_schemas": _below("ephemeral.", found),
    }


def _below(prefix: str, found: dict[str, Json]) -> Json:
    return {name.removeprefix(prefix): schema for name, schema in sorted(found.items()) if name.startswith(prefix)}


def as_text(schemas: Json) -> str:
    """The file's content: JSON with one line for every type, so that a change is one line of a diff."""
    lines = ["{"]
    for number, (provider, schema) in enumerate(schemas.items()):
        lines.append(f' "{provider}": {{')
        lines.append(f'  "version": {json.dumps(schema["version"])},')
        lines.append(f'  "provider": {_compact(schema["provider"])},')
        for kind in ("resource_schemas", "data_source_schemas", "ephemeral_resource_schemas"):
            types = [f'   "{name}": {_compact(types)}' for name, types in schema[kind].items()]
            lines.append(f'  "{kind}": {{' + ("\n" + ",\n".join(types) + "\n  " if types else "") + "}")
            if kind != "ephemeral_resource_schemas":
                lines[-1] += ","
        lines.append(" }" + ("," if number < len(schemas) - 1 else ""))
    return "\n".join([*lines, "}", ""])


def _compact(value: Json) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def main() -> None:
    """Download both wheels, read what `terraform/` uses, write the file."""
    wanted = wanted_types(ROOT / "terraform")
    with tempfile.TemporaryDirectory() as folder:
        schemas = {item.provider: schema_of_provider(item, wanted, Path(folder)) for item in BINDINGS}
    SCHEMAS.write_text(as_text(schemas))
    print(f"{SCHEMAS.name}: {len(wanted)} types, {SCHEMAS.stat().st_size / 1000:.0f} kB")  # noqa: T201


if __name__ == "__main__":
    main()
