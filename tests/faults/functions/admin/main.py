"""Admin with its steps watched."""

from __future__ import annotations

from functools import wraps

import flask

from functions.admin import main as function
from tests.faults.edges import watch

steps = watch("admin")
answer = function.Admin.answer


@wraps(answer)
def _answer(self: function.Admin, request: flask.Request) -> flask.Response:
    if request.method == "GET":
        return answer(self, request)
    steps.begin()
    what = request.path.rsplit("/", 1)[-1]
    steps.take(f"before handling {what}")
    response = answer(self, request)
    steps.take(f"before answering {what}")
    response.call_on_close(lambda: steps.take(f"after answering {what}"))
    return response


function.Admin.answer = _answer  # type: ignore[method-assign]

main = function.main
