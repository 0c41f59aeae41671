"""The served document, and that the door is shut wherever it is not said to be open."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from functions.admin.site import PUBLIC_PATHS, is_public
from tests.integration.admin.conftest import AdminSite
from tests.integration.admin.party import operations

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def document(site: AdminSite) -> dict[str, Any]:
    answer = site.client.get("/openapi.json")
    assert answer.status_code == 200
    content: dict[str, Any] = answer.get_json()
    return content


def rules(site: AdminSite) -> list[tuple[str, str]]:
    """Every route of the application: method and rule."""
    return [
        (method, rule.rule)
        for rule in site.admin.site.url_map.iter_rules()
        for method in sorted(rule.methods or ())
        if method in METHODS
    ]


def test_every_route_asks_for_a_token_but_the_few_that_are_said_to_be_public(site: AdminSite) -> None:
    shut = [(method, rule) for method, rule in rules(site) if not is_public(rule)]
    assert len(shut) > 20
    for method, rule in shut:
        path = re.sub(r"<[^>]*uuid[^>]*>", "00000000-0000-0000-0000-000000000000", rule)
        answer = site.client.open(re.sub(r"<[^>]+>", "x", path), method=method)
        assert (answer.status_code, answer.get_json()["code"]) == (401, "unauthenticated"), (method, rule)
    public = {rule for _, rule in rules(site) if is_public(rule)}
    assert {re.sub(r"<[^>]+>", "{}", rule) for rule in public} <= PUBLIC_PATHS


def test_unknown_paths_tell_a_stranger_nothing_and_a_caller_404(site: AdminSite) -> None:
    assert site.client.get("/nothing").status_code == 401
    answer = site.client.get("/nothing", headers=site.token())
    assert (answer.status_code, answer.get_json()["code"]) == (404, "not_found")


def test_every_route_is_in_the_document_but_pages_and_their_files(site: AdminSite) -> None:
    found = {(operation.method, operation.path) for operation in operations(document(site))}
    routes = {(method, re.sub(r"<(?:[^:>]+:)?([^>]+)>", r"{\1}", rule)) for method, rule in rules(site)}
    assert found <= routes
    for method, path in routes - found:
        # What programs do not ask for: anybody may read it, and it holds nothing of anybody.
        assert (method, is_public(path)) == ("GET", True), path


def test_every_operation_says_what_it_does_under_a_name_of_its_own(site: AdminSite) -> None:
    described = [operation.described for operation in operations(document(site))]
    assert [entry["operationId"] for entry in described if not entry.get("summary")] == []
    assert [name for name, count in Counter(entry["operationId"] for entry in described).items() if count > 1] == []


def test_every_operation_documents_the_refusals_that_any_may_give(site: AdminSite) -> None:
    content = document(site)
    for operation in operations(content):
        answers = operation.described["responses"]
        assert {"401", "403", "404", "422", "503"} <= set(answers), operation.name
        assert list(answers["422"]["content"]) == ["application/problem+json"], operation.name
        if operation.method != "GET":
            assert {"409", "413", "415"} <= set(answers), operation.name
            assert "Idempotency-Key" in [entry["name"] for entry in operation.described["parameters"]]
    assert content["security"] == [{"bearer": []}]


def test_nothing_of_another_host_is_loaded_by_the_page_of_the_api(site: AdminSite) -> None:
    page = site.client.get("/docs")
    assert page.status_code == 200
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert "//" not in page.text
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=|<style|\sstyle=", page.text), (
        "the policy forbids inline script"
    )
    for path in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        answer = site.client.get(f"/{path}")
        assert (answer.status_code, len(answer.data) > 0) == (200, True), path
    assert site.client.get("/docs/settings.py").status_code == 404
    assert site.client.get("/docs/..%2f..%2fsettings.py").status_code in (401, 404)


# ---------------------------------------------------------------- every answer


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/docs/start.js", "/nothing", "/invite/nothing"])
def test_every_answer_has_the_headers_that_browsers_heed(site: AdminSite, path: str) -> None:
    headers = site.client.get(path).headers
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "unsafe-inline" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Strict-Transport-Security"].startswith("max-age=")


def test_what_is_told_in_json_is_kept_by_no_cache(site: AdminSite) -> None:
    assert site.client.get("/nothing").headers["Cache-Control"] == "no-store"
    assert site.client.post("/ml/enqueue", json={}, headers=site.token()).headers["Cache-Control"] == "no-store"
