"""The web page: its documents, its files, and the cookie that lets its pictures through the door.

The page is signed in by a bearer token, which it sends with every request. ``<img>`` cannot send one, so the page
hands its token to ``POST /session`` once and gets it back in a cookie that scripts cannot read, that no other site's
page makes the browser send, and that opens pictures and nothing else: no cookie ever decides anything
(docs/decisions/0013).
"""

from __future__ import annotations

import gzip
import hashlib
import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import flask
from flask_openapi3 import APIBlueprint, Tag

from functions.admin.door.problems import not_found, unprocessable
from functions.admin.door.resources import Resources
from shared import languages

COOKIE = "trombi_pictures"
# The prefixes that pictures are below: the browser sends the cookie nowhere else.
_PICTURE_PREFIXES = ("/face", "/media")
_PICTURES = re.compile(r"/face/<[^>]+>/thumbnail|/media/<[^>]+>/image")
# What browsers keep of a cookie, less its name and attributes.
_LONGEST_TOKEN = 3900

_WEB = Path(__file__).with_name("web")
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# What the documents leave open. VERSION is a digest of all files, so that a browser keeps each file for good and never
# mixes those of two versions; the page finds in LANGUAGES which `words.TAG.js` and `consent.TAG.js` there are.
_UNVERSIONED, _LANGUAGES, _NOSCRIPT = "/web/VERSION/", "LANGUAGES", "NOSCRIPT"
# No host but this one, no inline script or style, and no text that a script could turn into markup.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)


@dataclass(frozen=True)
class WebFile:
    """A file as it is sent, plain and compressed."""

    mimetype: str
    plain: bytes
    compressed: bytes


@dataclass(frozen=True)
class Web:
    """All files of the page by name, and the digest of them all."""

    version: str
    files: Mapping[str, WebFile]
    documents: Mapping[str, WebFile]


def web() -> Web:
    """Return the files, which are read once per process."""
    return _read(languages.FOLDER)


@cache
def _read(folder: Path) -> Web:
    contents = {path.name: path.read_bytes() for path in sorted(_WEB.iterdir()) if path.suffix in {*_TYPES, ".html"}}
    tags = languages.languages(folder)
    for tag in tags:
        contents |= {f"{path.stem}.{tag}.js": path.read_bytes() for path in sorted((folder / tag).glob("*.js"))}
    without_script = "\n".join(_without_script(tag, folder / tag / "noscript.txt") for tag in tags)
    digest = hashlib.sha256(without_script.encode())
    for name, content in contents.items():
        digest.update(f"{name} {len(content)}\n".encode() + content)
    version = digest.hexdigest()[:16]
    files, documents = {}, {}
    for name, content in contents.items():
        if name.endswith(".html"):
            text = content.decode().replace(_UNVERSIONED, f"/web/{version}/")
            text = text.replace(_LANGUAGES, " ".join(tags)).replace(_NOSCRIPT, without_script)
            documents[name] = _file(text.encode(), "text/html")
        else:
            files[name] = _file(content, _TYPES[Path(name).suffix])
    return Web(version, files, documents)


def _without_script(tag: str, file: Path) -> str:
    return f'<p class="state" lang="{tag}">{html.escape(file.read_text(encoding="utf-8").strip())}</p>'


def _file(content: bytes, mimetype: str) -> WebFile:
    return WebFile(mimetype, content, gzip.compress(content, 9, mtime=0))


def document(name: str, status: int = 200) -> flask.Response:
    """Serve a page with its Content-Security-Policy; revalidated each time, 304 when it is unchanged."""
    response = _sent(web().documents[name])
    response.status_code = status
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Robots-Tag"] = "noindex"
    response.vary.add("Accept")
    if status == 200:  # noqa: PLR2004 - HTTP's
        response.add_etag()
        response.make_conditional(flask.request.environ)
    return response


def prefers_page(request: flask.Request) -> bool:
    """Whether HTML is wanted rather than JSON: a person came by a link."""
    accepted = request.accept_mimetypes
    return accepted.best_match(["application/json", "text/html"], "application/json") == "text/html"


def page_of_list(request: flask.Request) -> flask.Response | None:
    """``GET /events`` is a list for programs, and for a person's browser the page that shows it."""
    if request.method in ("GET", "HEAD") and request.path == "/events" and prefers_page(request):
        return document("app.html")
    return None


def token_of_pictures(request: flask.Request) -> str | None:
    """Return the ``Authorization`` in the cookie, for reads of pictures that this site's own page requests."""
    rule = request.url_rule
    if rule is None or request.method not in ("GET", "HEAD") or not _PICTURES.fullmatch(_untyped(rule.rule)):
        return None
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        return None
    token = request.cookies.get(COOKIE)
    return f"Bearer {token}" if token else None


def _untyped(rule: str) -> str:
    return rule.replace("<uuid:", "<")


def routes(resources: Resources) -> APIBlueprint:
    """Make the routes of the page's documents, its files and its sign-in."""
    api = APIBlueprint("pages", __name__, abp_tags=[Tag(name="page")])
    public_is_secure = (resources.settings.public_url or "").startswith("https:")

    @api.route("/")
    def start() -> flask.Response:
        return flask.redirect("/events")  # type: ignore[return-value]  # werkzeug's own is what Flask answers with

    @api.route("/events/<uuid:event_id>/analyse")
    def analyse(event_id: str) -> flask.Response:  # noqa: ARG001 - the page reads its own address
        return document("app.html")

    @api.route("/web/<version>/<name>")
    def file(version: str, name: str) -> flask.Response:
        found = web().files.get(name)
        if found is None:
            raise not_found()
        response = _sent(found)
        # Two versions may answer while one is being replaced: what is not of this one is kept by nobody.
        current = version == web().version
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if current else "no-store"
        response.add_etag()
        response.make_conditional(flask.request.environ)
        return response

    @api.post("/session", responses={204: None})
    def let_pictures_in() -> flask.Response:
        """For pages: puts the bearer token into a cookie that opens thumbnails and photos, and nothing else."""
        token = flask.request.headers["Authorization"].partition(" ")[2].strip()
        if len(token) > _LONGEST_TOKEN:
            raise unprocessable("token_too_long", f"a token of more than {_LONGEST_TOKEN} characters fits no cookie")
        return _with_cookie(token, secure=public_is_secure or _came_by_https(flask.request))

    @api.delete("/session", responses={204: None})
    def keep_pictures_out() -> flask.Response:
        """For pages: takes the cookie back."""
        return _with_cookie("", secure=public_is_secure or _came_by_https(flask.request))

    return api


def _came_by_https(request: flask.Request) -> bool:
    return request.is_secure or request.headers.get("X-Forwarded-Proto") == "https"


def _with_cookie(token: str, *, secure: bool) -> flask.Response:
    response = flask.Response(status=204)
    response.headers["Cache-Control"] = "no-store"
    for prefix in _PICTURE_PREFIXES:
        if token:
            # Gone with the browser; the token in it expires by itself.
            response.set_cookie(COOKIE, token, path=prefix, secure=secure, httponly=True, samesite="Strict")
        else:
            response.delete_cookie(COOKIE, path=prefix, secure=secure, httponly=True, samesite="Strict")
    return response


def _sent(file: WebFile) -> flask.Response:
    compressed = flask.request.accept_encodings["gzip"] > 0
    response = flask.Response(file.compressed if compressed else file.plain, mimetype=file.mimetype)
    if compressed:
        response.headers["Content-Encoding"] = "gzip"
    response.vary.add("Accept-Encoding")
    return response
