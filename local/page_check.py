"""``python -m local.page_check``: check the web page's JavaScript, which is served as it is: no build, no bundler.

biome finds likely mistakes. tsc checks the types that the scripts state in JSDoc; those of the API it gets from admin's
OpenAPI document, which openapi-typescript writes as types into ``.trombi/api.d.ts`` whenever that document has changed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from functions.admin.door.auth import Authenticator
from functions.admin.door.resources import Resources
from functions.admin.settings import AdminSettings
from functions.admin.site import make_site
from shared.database import Database
from shared.outbox import Outbox
from shared.publish import PubSubPublisher
from shared.storage import CloudStorage

ROOT = Path(__file__).resolve().parents[1]
_TOOLS = ROOT / "node_modules" / ".bin"
_TYPES = ROOT / ".trombi" / "api.d.ts"


class ToolsMissing(Exception):
    """The checkers are not installed."""


def api_document() -> str:
    """Return admin's OpenAPI document as JSON. Nothing is opened: no route is asked."""
    settings = AdminSettings(
        database_url="postgresql://nowhere", derived_bucket="none", jwt_secret="0" * 32, google_cloud_project="none"
    )
    database = Database(settings.database_url)
    resources = Resources(settings, database, Outbox(database, PubSubPublisher("none")), CloudStorage("none"))
    return json.dumps(make_site(resources, Authenticator(settings)).api_doc)


def write_api_types() -> None:
    """Write the API's types, unless they are those of the document as it is.

    Raises:
        ToolsMissing: the checkers are not installed.
    """
    _TYPES.parent.mkdir(exist_ok=True)
    document = _TYPES.with_name("openapi.json")
    content = api_document()
    if _TYPES.exists() and document.exists() and document.read_text(encoding="utf-8") == content:
        return
    _TYPES.unlink(missing_ok=True)
    document.write_text(content, encoding="utf-8")
    written = run("openapi-typescript", str(document), "--default-non-nullable=false", "--output", str(_TYPES))
    if written.returncode != 0:
        raise RuntimeError(written.stdout + written.stderr)


def run(tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of the tools of package.json in the repository's root.

    Raises:
        ToolsMissing: it is not installed.
    """
    program = _TOOLS / tool
    if not program.exists():
        raise ToolsMissing("the checkers of JavaScript are missing: run make lint, which installs them with npm")
    return subprocess.run([program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def problems() -> str:
    """Return what biome and tsc have to say about the page; an empty text when all is well."""
    write_api_types()
    checks = [
        run("biome", "ci", "--error-on-warnings", "--colors=off", "."),
        run("tsc", "--project", "tsconfig.json"),
    ]
    return "".join(check.stdout + check.stderr for check in checks if check.returncode != 0)


if __name__ == "__main__":
    sys.exit(problems() or None)
