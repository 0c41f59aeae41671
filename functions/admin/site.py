"""The Flask application: authentication, error responses, response headers and the OpenAPI document."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Any

import flask
from flask.json.provider import DefaultJSONProvider
from flask_openapi3 import APIBlueprint, Info, OpenAPI
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

from functions.admin.door import store
from functions.admin.door.answers import compress
from functions.admin.door.auth import Authenticator, Unauthenticated
from functions.admin.door.idempotency import HEADER as IDEMPOTENCY_KEY
from functions.admin.door.problems import MEDIA_TYPE, Problem, ProblemDetails, invalid, not_found, unprocessable
from functions.admin.door.resources import Resources
from functions.admin.events import progress
from functions.admin.events import routes as events
from functions.admin.invitations import routes as invitations
from functions.admin.operations import docs as api_docs
from functions.admin.operations import metrics
from functions.admin.operations import routes as operations
from functions.admin.page import routes as pages
from functions.admin.photos import routes as photos
from functions.admin.privacy import routes as privacy
from functions.admin.review import decision_routes
from functions.admin.review import face_routes as faces
from functions.admin.review import person_routes as persons
from shared.errors import Permanent, Retryable
from shared.log import log_context, logger
from shared.service import READY_PATH
from shared.storage import ObjectMissing

# The blueprints of the API, one line per noun.
ROUTES: tuple[Callable[[Resources], APIBlueprint], ...] = (
    decision_routes.routes,
    events.routes,
    faces.routes,
    invitations.routes,
    metrics.routes,
    operations.routes,
    pages.routes,
    persons.routes,
    photos.routes,
    privacy.routes,
    progress.routes,
)

# All other paths require a bearer token. A path parameter is written {} here, whatever its name.
PUBLIC_PATHS = frozenset(
    {
        READY_PATH,
        "/openapi.json",
        "/docs",
        "/docs/{}",
        "/invite/{}",
        "/invite/{}/face/{}",
        "/",
        "/events/{}/analyse",
        "/web/{}/{}",
    }
)
_PARAMETER = re.compile(r"<[^>]+>|\{[^}]+\}")
_MAX_BODY_BYTES = 2**20  # 10,000 ids are 0.4 MB

_SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def make_site(resources: Resources, authenticator: Authenticator) -> OpenAPI:
    """Make the application with all its routes; no connection is opened."""
    site = _Site(
        __name__,
        info=Info(title="Trombi", version="1", description="Who is who in an event's photos."),
        security_schemes={"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        validation_error_model=ProblemDetails,
        validation_error_callback=_refuse,
        doc_ui=False,
        static_folder=None,
    )
    site.config["MAX_CONTENT_LENGTH"] = _MAX_BODY_BYTES
    site.request_class = _JsonRequest
    site.json = _Json(site)
    site.before_request(lambda: pages.page_of_list(flask.request))
    _authenticate_requests(site, authenticator)
    _handle_errors(site, resources)
    _set_headers(site, resources)

    @site.route("/openapi.json")
    def document() -> flask.Response:
        return flask.jsonify(site.api_doc)

    site.register_blueprint(api_docs.pages())
    for routes in ROUTES:
        site.register_api(routes(resources))
    return site


def is_public(rule: str) -> bool:
    """Return whether a route's rule, for example ``/invite/<token>``, needs no token."""
    return _PARAMETER.sub("{}", rule) in PUBLIC_PATHS


# ---------------------------------------------------------------- authentication and input


def _authenticate_requests(site: OpenAPI, authenticator: Authenticator) -> None:
    @site.before_request
    def authenticate() -> None:
        """Set ``g.caller``; None on a public route without a token."""
        request = flask.request
        flask.g.caller = None
        if request.method == "OPTIONS":
            return
        authorization = request.headers.get("Authorization") or pages.token_of_pictures(request)
        public = request.url_rule is not None and is_public(request.url_rule.rule)
        if authorization is not None or not public:
            flask.g.caller = authenticator.caller(authorization)
        if any("\0" in text for text in _texts_of(request)):
            raise unprocessable("invalid", "the address must not contain the character NUL")


def _texts_of(request: flask.Request) -> Iterator[str]:
    yield request.path
    for name, value in request.args.items(multi=True):
        yield name
        yield value


class _JsonRequest(flask.Request):
    """A request whose body, if any, is a JSON object whose text Postgres can store."""

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:  # noqa: ANN401, ARG002, FBT001, FBT002 - Flask's signature
        """Return the body; an empty body counts as an empty object.

        Raises:
            Problem: 415, the body is not declared as JSON; 422, it is no JSON object or holds invalid text.
        """
        body = self.get_data(cache=True)
        if not body:
            return {}
        if not self.is_json:
            raise Problem(415, "unsupported_media_type", "send JSON, as Content-Type: application/json")
        try:
            content = json.loads(body, parse_constant=_no_number)
            _check_text(content)
        except (ValueError, RecursionError):
            raise unprocessable("invalid", "body: not JSON, or text with NUL or half characters in it") from None
        if not isinstance(content, dict):
            raise unprocessable("invalid", "body: Input should be a JSON object")
        return content


def _no_number(name: str) -> float:
    raise ValueError(name)  # NaN and Infinity are not JSON


def _check_text(content: object) -> None:
    """Raise ValueError for text that Postgres cannot store: NUL and unpaired surrogates."""
    waiting = [content]
    while waiting:
        match waiting.pop():
            case str(text):
                if "\0" in text:
                    raise ValueError("NUL")
                text.encode()
            case list(items):
                waiting.extend(items)
            case dict(members):
                waiting.extend(members.keys())
                waiting.extend(members.values())


# ---------------------------------------------------------------- errors


def _refuse(error: ValidationError) -> flask.Response:
    raise invalid(error)


def _handle_errors(site: OpenAPI, resources: Resources) -> None:
    def handle(error: Exception) -> flask.Response:
        with log_context(event_id=flask.g.get("event_id")):
            if isinstance(error, Unauthenticated):
                _count(resources, error)
            return _problem_of(error).response()

    site.register_error_handler(Exception, handle)


def _problem_of(error: Exception) -> Problem:
    """Convert an exception; an unexpected one is logged with its traceback, and the caller learns no details."""
    match error:
        case Problem():
            problem = error
        case Unauthenticated():
            problem = Problem(
                401, "unauthenticated", "send a valid bearer token", headers={"WWW-Authenticate": "Bearer"}
            )
        case HTTPException():
            problem = _problem_of_http(error)
        case ObjectMissing():
            problem = not_found()
        case Permanent():
            problem = Problem(409, error.code, error.reason)
        case Retryable():
            logger().warning("not answered", reason=str(error))
            problem = Problem(503, "try_again", str(error), headers={"Retry-After": "5"})
        case _:
            logger().error("unexpected error", exc_info=error)
            problem = Problem(500, "unexpected", "the log has its traceback")
    return problem


def _problem_of_http(error: HTTPException) -> Problem:
    code = re.sub(r"\W+", "_", error.name).lower()
    kept = ("Allow", "Retry-After", "Location")
    headers = {name: value for name, value in error.get_response().headers if name in kept}
    return Problem(error.code or 500, code, error.description or error.name, headers=headers)


def _count(resources: Resources, refusal: Unauthenticated) -> None:
    logger().warning("authentication failed", reason=refusal.reason)
    try:
        with resources.database.transaction() as connection:
            store.count_auth_failure(connection, refusal.reason)
    except Retryable as error:
        logger().warning("an authentication failure was not counted", reason=str(error))


# ---------------------------------------------------------------- headers


def _set_headers(site: OpenAPI, resources: Resources) -> None:
    origins = resources.settings.allowed_origins

    @site.after_request
    def add(response: flask.Response) -> flask.Response:
        for name, value in _SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        if response.mimetype in ("application/json", MEDIA_TYPE):
            response.headers.setdefault("Cache-Control", "no-store")
        compress(flask.request, response)
        if origins:
            response.vary.add("Origin")
        origin = flask.request.headers.get("Origin")
        if origin in origins:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = "ETag, Retry-After"
            response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
            if flask.request.method == "OPTIONS":
                response.headers["Access-Control-Allow-Methods"] = "GET, POST, PUT"
                response.headers["Access-Control-Allow-Headers"] = (
                    f"Authorization, Content-Type, {IDEMPOTENCY_KEY}, If-None-Match"
                )
                response.headers["Access-Control-Max-Age"] = "600"
        return response


class _Json(DefaultJSONProvider):
    """Writes times as ISO 8601; Flask's default is the date format of HTTP."""

    @staticmethod
    def default(value: Any) -> Any:  # noqa: ANN401 - Flask's signature
        """Convert a value that JSON has no type for."""
        if isinstance(value, date | datetime):
            return value.isoformat()
        return DefaultJSONProvider.default(value)


# ---------------------------------------------------------------- the OpenAPI document


class _Site(OpenAPI):
    """The library's application; adds to its document what all operations have in common."""

    def generate_spec_json(self) -> None:
        """Make the document, and add security, the errors common to all operations and the idempotency key."""
        super().generate_spec_json()  # type: ignore[no-untyped-call]
        self.spec_json["security"] = [{"bearer": []}]
        for path, item in self.spec_json["paths"].items():
            for method, operation in item.items():
                words = [word for word in _PARAMETER.sub("", path).replace("-", "_").split("/") if word]
                operation["operationId"] = "_".join([method, *words])
                operation["description"] = operation.get("description", "").replace("<br/>", "\n").strip()
                _complete(operation, is_read=method == "get", public=is_public(path))


def _complete(operation: dict[str, Any], *, is_read: bool, public: bool) -> None:
    if public:
        operation["security"] = [{}, {"bearer": []}]
    common = {
        "401": "The bearer token is missing or not valid",
        "403": "Only organisers of the event may do this",
        "404": "Not found, or the caller may not see it",
        "422": "The request is not valid; `detail` names the fields",
        "503": "A dependency is unavailable or busy: try again",
    }
    if not is_read:
        common |= {
            "409": "Conflicts with the current state; about a person, `current` is that person's state",
            "413": "The body is too large",
            "415": "The body is not JSON",
        }
        operation.setdefault("parameters", []).append(
            {
                "name": IDEMPOTENCY_KEY,
                "in": "header",
                "required": False,
                "description": "A repeated request with the same key is carried out once and gets the same answer.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 200},
            }
        )
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
    for status, description in common.items():
        # The library documents 422 as a list of errors; replace that by the problem details that are really sent.
        if status == "422" or status not in operation["responses"]:
            operation["responses"][status] = {"description": description, "content": content}
