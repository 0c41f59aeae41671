"""A function for tests: keeps every message that is pushed to it in Postgres, and can be made to hang."""

from __future__ import annotations

import base64
import os
import threading

import functions_framework
import psycopg
from flask import Request

_RECORD = "INSERT INTO recorded (path, content) VALUES (%s, %s)"


@functions_framework.http
def main(request: Request) -> tuple[str, int]:
    """Answer the health check, record a push; an exception makes the framework answer 500."""
    if request.path == "/healthz":
        return "", 200
    if request.path == "/hang":
        threading.Event().wait()
    message = request.get_json()["message"]
    content = base64.b64decode(message.get("data", "")).decode()
    with psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=5) as connection:
        connection.execute(_RECORD, (request.path, content))
    return "", 204
