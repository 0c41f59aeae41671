"""Which module may import what; and that nothing opens at import."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = ("admin", "callback", "cluster", "detect")


def modules(*folders: str) -> Iterator[Path]:
    """Every Python file under the folders, relative to the repository."""
    for folder in folders:
        yield from files_of(folder)


@cache
def files_of(folder: str) -> tuple[Path, ...]:
    return tuple(path.relative_to(ROOT) for path in sorted((ROOT / folder).rglob("*.py")))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> frozenset[str]:
    """Every module that a file imports anywhere, with the names it takes from them: ``google.cloud.storage``."""
    found: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def is_of(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def importers(package: str) -> set[str]:
    """The files of functions, shared and local that import a package."""
    return {
        path.as_posix()
        for path in modules("functions", "operations", "shared", "local")
        if any(is_of(name, package) for name in imports(path))
    }


def beyond(found: set[str], allowed: set[str]) -> set[str]:
    """Files that are neither allowed by name nor, ``local/``, part of the emulated cloud."""
    return {path for path in found if path not in allowed and not path.startswith("local/")}


STORES = {
    path.as_posix()
    for function in FUNCTIONS
    for path in modules(f"functions/{function}")
    if path.name == "store.py" or path.name.endswith("_store.py")
}


STATEMENT = re.compile(r"\s*(--.*\s)*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH|LOCK|NOTIFY|SET)\b")


@pytest.mark.parametrize("folder", ["functions", "operations"])
def test_statements_stand_in_stores_alone(folder: str) -> None:
    found = {
        path.as_posix()
        for path in modules(folder)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and STATEMENT.match(node.value)
    }
    assert found > {"functions/cluster/store.py", "functions/admin/door/store.py"} or folder == "operations"
    assert {path for path in found if not path.endswith("store.py")} == set()


def test_only_the_database_and_the_stores_import_psycopg() -> None:
    found = importers("psycopg") | importers("psycopg_pool") | importers("pgvector")
    assert beyond(found, {"shared/database.py", "shared/outbox.py", "shared/job_ledger.py"} | STORES) == set()
    assert "shared/database.py" in found


@pytest.mark.parametrize("path", ["shared/outbox.py", "shared/job_ledger.py"])
def test_outbox_and_ledger_take_only_types_from_psycopg(path: str) -> None:
    taken = {name for name in imports(Path(path)) if is_of(name, "psycopg")}
    assert taken <= {"psycopg.types.json.Jsonb", "psycopg.rows.DictRow"}


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("google.cloud.storage", {"shared/storage.py"}),
        ("google.cloud.pubsub_v1", {"shared/publish.py"}),
        ("google.pubsub_v1", set()),
        ("google.auth", {"shared/storage.py"}),
        ("google.api_core", {"shared/storage.py", "shared/publish.py"}),
        ("insightface", {"functions/detect/engine.py"}),
        ("onnxruntime", {"functions/detect/engine.py", "functions/detect/packs.py"}),
        ("simplejpeg", {"shared/decode/jpeg.py"}),
        ("hdbscan", {path.as_posix() for path in modules("functions/cluster")}),
        ("jwt", {"functions/admin/door/auth.py", "functions/admin/door/key_sets.py"}),
        ("flask_openapi3", {path.as_posix() for path in modules("functions/admin")}),
        ("prometheus_client", {"functions/admin/operations/metrics.py"}),
        ("cloudevents", {"shared/push.py"}),
        ("smtplib", {"functions/callback/mail.py"}),
        ("jinja2", {"functions/callback/wording.py"}),
        (
            "PIL",
            {
                *(f"shared/decode/{module}.py" for module in ("jpeg", "pixels", "reading")),
                "functions/detect/engine.py",
                "functions/admin/photos/preview.py",
            },
        ),
    ],
)
def test_only_the_module_named_for_it_imports_a_package(package: str, allowed: set[str]) -> None:
    assert beyond(importers(package), allowed) == set()


@pytest.mark.parametrize(
    "package",
    [
        *("google.cloud.storage", "google.cloud.pubsub_v1", "insightface", "hdbscan", "jwt", "flask_openapi3"),
        *("prometheus_client", "smtplib", "jinja2"),
    ],
)
def test_the_packages_above_are_the_ones_that_are_used(package: str) -> None:
    assert importers(package), f"nobody imports {package}: the test above tests nothing"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_never_import_each_other(function: str) -> None:
    others = [f"functions.{other}" for other in FUNCTIONS if other != function]
    for path in modules(f"functions/{function}"):
        assert not [name for name in imports(path) for other in others if is_of(name, other)], path


@pytest.mark.parametrize("folder", ["shared", "functions", "operations"])
def test_what_is_deployed_imports_neither_tests_nor_the_emulated_cloud(folder: str) -> None:
    for path in modules(folder):
        assert not [name for name in imports(path) if is_of(name, "tests") or is_of(name, "local")], path


TREE = "functions.cluster.tree"


def test_the_clustering_engine_is_used_by_its_three_public_names_alone() -> None:
    package = parsed(Path("functions/cluster/tree/__init__.py"))
    words = [node.value for node in ast.walk(package) if isinstance(node, ast.Constant)]
    public = {word for word in words if isinstance(word, str) and word.isidentifier()}
    assert public == {"BlockRunner", "Clustering", "cluster"}
    for path in modules("functions", "benchmarks", "shared", "local"):
        if path.parent != Path("functions/cluster/tree"):
            used = {name for name in imports(path) if is_of(name, TREE)}
            assert used <= {f"{TREE}.{name}" for name in public}, path


def test_shared_imports_no_function() -> None:
    for path in modules("shared"):
        assert not [name for name in imports(path) if is_of(name, "functions") or is_of(name, "operations")], path


def test_operations_and_functions_do_not_import_each_other() -> None:
    for folder, other in (("operations", "functions"), ("functions", "operations")):
        for path in modules(folder):
            assert not [name for name in imports(path) if is_of(name, other)], path


PURE = [
    "functions/callback/debounce.py",
    "functions/cluster/embeddings.py",
    "functions/cluster/faces/centroids.py",
    "functions/cluster/labels.py",
    "functions/cluster/faces/rules.py",
    "functions/cluster/tree/hdbscan_cosine.py",
    *(path.as_posix() for path in modules("functions/cluster/persons")),
    "functions/cluster/parameters.py",
    "functions/cluster/faces/silhouette.py",
    "functions/cluster/tree/spanning_tree.py",
    "functions/cluster/states.py",
    "functions/detect/boxes.py",
    "functions/detect/objects.py",
    *(path.as_posix() for path in modules("shared/decode")),
    "functions/detect/picture_hash.py",
    "functions/detect/detections.py",
    "functions/detect/finding.py",
    "functions/detect/looking.py",
    "functions/detect/quality.py",
    "functions/detect/redetection.py",
    "functions/cluster/faces/cohesion.py",
    "functions/cluster/faces/left_over.py",
    "functions/cluster/faces/pictures_of_pictures.py",
    "functions/cluster/faces/same_photo.py",
    "shared/poor_faces.py",
    "shared/calibration.py",
    "shared/sniff.py",
    "shared/contracts.py",
    "shared/errors.py",
    "shared/invitation_token.py",
    "shared/mailbox.py",
]
INPUT_AND_OUTPUT = (
    "psycopg",
    "google",
    "requests",
    "httpx",
    "urllib",
    "socket",
    "subprocess",
    "os",
    "pathlib",
    "tempfile",
    "threading",
    "flask",
    "structlog",
    "random",
    "datetime.datetime.now",
    "shared.database",
    "shared.storage",
    "shared.publish",
    "shared.outbox",
    "shared.log",
    "shared.settings",
)


# Asks how many cores there are and spreads pure blocks over threads: computing, not input or output.
SPREADS_WORK = "functions/cluster/tree/block_runner.py"


@pytest.mark.parametrize("path", PURE)
def test_a_pure_module_imports_no_input_or_output_not_even_through_another(path: str) -> None:
    seen: set[str] = set()
    waiting = [path]
    while waiting:
        current = waiting.pop()
        seen.add(current)
        for name in imports(Path(current)):
            assert not [package for package in INPUT_AND_OUTPUT if is_of(name, package)], f"{current} imports {name}"
            own = name.rpartition(".")[0].replace(".", "/") + ".py"
            if (ROOT / own).is_file() and own not in seen and own != SPREADS_WORK:
                waiting.append(own)


@pytest.mark.parametrize("path", PURE)
def test_a_pure_module_neither_opens_a_file_nor_reads_a_calendar(path: str) -> None:
    for node in ast.walk(parsed(Path(path))):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            assert called not in {"now", "today", "utcnow", "time", "sleep", "print", "default_rng"}, (
                f"{path}:{node.lineno} calls {called}()"
            )
            opens = isinstance(node.func, ast.Name) and called == "open"
            assert not opens, f"{path}:{node.lineno} opens a file"


# What a fork after import would share with its siblings: sockets, threads, children.
_PROBE = """
import os, socket, sys, threading

made = []
socket.socket.connect = lambda *_: made.append("a connection")
# (urllib3 binds a socket and closes it, to see whether there is IPv6: what stays open is looked at below.)
start = threading.Thread.start
threading.Thread.start = lambda thread: (made.append(f"a thread ({thread.name})"), start(thread))
import importlib
module = importlib.import_module(sys.argv[1])
assert callable(module.main)
compose = getattr(module, "service", None) or module.admin
assert compose.__wrapped__.cache_info().currsize == 0, "composed at import"
sockets = [name for name in os.listdir("/proc/self/fd") if name.isdecimal() and os.path.exists(f"/proc/self/fd/{name}")
           and os.readlink(f"/proc/self/fd/{name}").startswith("socket:")]
assert not made, made
assert not sockets, sockets
compose()
"""


@pytest.mark.parametrize("function", FUNCTIONS)
def test_nothing_opens_when_a_function_is_imported_and_missing_settings_are_named(
    function: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, f"functions.{function}.main"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    # Composing is the first thing that may fail, and it does for want of settings.
    assert done.returncode != 0
    assert "SettingsError: these environment variables need attention: DATABASE_URL: Field required" in done.stderr
    # onnxruntime makes a folder below ~/.cache
    assert [path.name for path in tmp_path.iterdir() if path.name != ".cache"] == [], "importing wrote files"
