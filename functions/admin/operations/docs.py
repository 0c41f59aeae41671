"""``/docs``: the API for people to read and try, from the container alone: no other host, no inline script."""

from __future__ import annotations

from importlib.resources import files

import flask

from functions.admin.door.problems import not_found

_FILES = {"swagger-ui.css": "css", "swagger-ui-bundle.js": "js"}
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Trombi API</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<div id="api">This page needs JavaScript; <a href="openapi.json">openapi.json</a> does not.</div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</html>
"""
_START = """SwaggerUIBundle({
  url: new URL("openapi.json", document.baseURI).href,
  dom_id: "#api",
  deepLinking: true,
  validatorUrl: null,
});
"""
# Its style sheet draws its arrows from data: addresses.
_POLICY = (
    "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "object-src 'none'"
)


def pages() -> flask.Blueprint:
    """Make the routes of the documentation page and its files."""
    blueprint = flask.Blueprint("docs", __name__)

    @blueprint.get("/docs")
    def page() -> flask.Response:
        return flask.Response(_PAGE, headers={"Content-Security-Policy": _POLICY}, mimetype="text/html")

    @blueprint.get("/docs/<name>")
    def file(name: str) -> flask.Response:
        if name == "start.js":
            return flask.Response(_START, mimetype="text/javascript")
        if name not in _FILES:
            raise not_found()
        content = files("flask_openapi3_swagger").joinpath("templates", "swagger", _FILES[name], name).read_bytes()
        response = flask.Response(content, mimetype="text/css" if name.endswith(".css") else "text/javascript")
        response.cache_control.public = True
        response.cache_control.max_age = 86400
        return response

    return blueprint
