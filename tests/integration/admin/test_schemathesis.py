"""Made-up requests to every documented operation: never an error of ours, never an answer that is not documented.

With a fixed seed: the same requests in every run. Half of them have the ids of a real event.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any
from uuid import UUID

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.integration.admin.conftest import AdminSite
from tests.integration.admin.party import Party, arrange_party

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 12
ERASING = ("/consent", "/archive", "/purge")


@pytest.fixture
def party(site: AdminSite) -> Party:
    return arrange_party(site)


def with_real_ids(content: Any, ids: dict[str, Any]) -> Any:
    """The value, with real ids wherever it has a member of such a name."""
    if isinstance(content, dict):
        return {name: ids.get(name, with_real_ids(member, ids)) for name, member in content.items()}
    return [with_real_ids(item, ids) for item in content] if isinstance(content, list) else content


def cases_of(operation: schemathesis.APIOperation[Any, Any, Any, Any]) -> st.SearchStrategy[schemathesis.Case[Any]]:
    """Requests that are right by the document, and requests that are wrong."""
    return st.one_of(
        operation.as_strategy(schemathesis.GenerationMode.POSITIVE),
        operation.as_strategy(schemathesis.GenerationMode.NEGATIVE),
    )


@cache
def operations_of(app: Flask) -> list[tuple[schemathesis.APIOperation[Any, Any, Any, Any], st.SearchStrategy[Any]]]:
    """Every operation, with its requests; what reads comes first, what erases last.

    So that there is something to read and to decide on.
    """
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
    found = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    found.sort(key=lambda one: (one.method != "get", one.path.endswith(ERASING)))
    return [(operation, cases_of(operation)) for operation in found]


@pytest.mark.parametrize(("who", "least"), [("organiser", 18), ("member", 6), ("stranger", 1), (None, 1)])
def test_no_made_up_request_gets_an_answer_that_is_not_documented(
    site: AdminSite, party: Party, who: str | None, least: int
) -> None:
    # As it is: the library's client asks for compressed answers, and does not unpack them.
    headers = {"Accept-Encoding": "identity", **(site.token(getattr(party, who)) if who else {})}
    ids = {name: str(found) if isinstance(found, UUID) else found for name, found in party.ids.items()}
    called: set[str] = set()
    granted: set[str] = set()
    for _, cases in operations_of(site.admin.site):

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases, real=st.booleans())
        def call(case: schemathesis.Case[Any], *, real: bool) -> None:
            if real:
                case.path_parameters = {name: ids.get(name, value) for name, value in case.path_parameters.items()}
                case.body = with_real_ids(case.body, ids)
            answer = case.call_and_validate(headers=headers, checks=CHECKS)
            called.add(case.operation.label)
            if answer.status_code < 300:
                granted.add(case.operation.label)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the library's own
            call()
    assert len(called) > 20
    # Not only refusals were looked at.
    assert len(granted) >= least, sorted(called - granted)
