"""A worker's signature: what is believed, and for how long."""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from functions.callback.settings import CallbackSettings
from functions.callback.signed import SIGNATURE_HEADER, TIMESTAMP_HEADER, JobReport, sign, why_refused

SECRET, NEXT = "a secret of at least 32 characters", "the next secret of 32 characters!"
BODY = b'{"job_id":"1"}'
NOW = 1_800_000_000.0
STAMP = "1800000000"


def refused(
    timestamp: str | None = STAMP,
    signature: str | None = None,
    *,
    body: bytes = BODY,
    secrets: tuple[str, ...] = (SECRET,),
    now: float = NOW,
) -> str | None:
    signed = sign(SECRET, STAMP, BODY) if signature is None else signature
    return why_refused(secrets, timestamp=timestamp, signature=signed, body=body, now=now)


def test_the_signature_is_hmac_sha256_over_timestamp_dot_body() -> None:
    digest = hmac.new(SECRET.encode(), b'1800000000.{"job_id":"1"}', hashlib.sha256).hexdigest()
    assert sign(SECRET, STAMP, BODY) == f"sha256={digest}"
    assert refused() is None


@pytest.mark.parametrize("off", [-300, 0, 300])
def test_clocks_may_differ_by_five_minutes(off: int) -> None:
    assert refused(now=NOW + off) is None


@pytest.mark.parametrize("off", [-301, 301, 86_400])
def test_an_old_report_or_one_of_the_future_is_refused(off: int) -> None:
    assert refused(now=NOW + off) == "callback_timestamp"


def test_while_a_secret_is_replaced_both_are_believed() -> None:
    assert refused(secrets=(NEXT, SECRET)) is None
    assert refused(signature=sign(NEXT, STAMP, BODY), secrets=(NEXT, SECRET)) is None
    assert refused(secrets=(NEXT,)) == "callback_signature"


def test_without_a_secret_nobody_is_believed() -> None:
    assert refused(secrets=()) == "callback_signature"
    assert refused(signature=sign("", STAMP, BODY), secrets=()) == "callback_signature"


def test_body_and_timestamp_are_both_signed() -> None:
    assert refused(body=BODY + b" ") == "callback_signature"
    assert refused(timestamp="1800000001") == "callback_signature"
    # The dot cannot be moved: what comes before it are digits alone.
    moved = sign(SECRET, "18000000", b"00.x")
    assert refused(timestamp="1800000000", signature=moved, body=b"x") == "callback_signature"


@pytest.mark.parametrize("signature", ["", "sha256=", "sha256=" + "0" * 63, "sha256=" + "G" * 64, "0" * 64, "sha1=00"])
def test_what_is_no_signature_is_refused(signature: str) -> None:
    assert refused(signature=signature) == "callback_malformed"


@pytest.mark.parametrize(
    "timestamp", ["", "now", "-1", "1e9", "1800000000.0", " 1800000000", "1" * 13, "\uff11\uff18" + "0" * 8]
)
def test_what_is_no_timestamp_is_refused(timestamp: str) -> None:
    assert refused(timestamp=timestamp) == "callback_malformed"


def test_a_request_without_a_signature_is_refused() -> None:
    assert why_refused((SECRET,), timestamp=STAMP, signature=None, body=BODY, now=NOW) == "callback_unsigned"
    assert refused(timestamp=None) == "callback_unsigned"


@given(timestamp=st.text(), signature=st.text(), body=st.binary())
def test_nothing_made_up_is_believed_or_an_error(timestamp: str, signature: str, body: bytes) -> None:
    assert refused(timestamp, signature, body=body) is not None


# ---------------------------------------------------------------- settings


def settings(**changed: str) -> CallbackSettings:
    needed = {"database_url": "postgres://host/trombi", "google_cloud_project": "project", "derived_bucket": "derived"}
    return CallbackSettings.model_validate(needed | changed)


def test_secrets_are_listed_by_commas_and_never_shown() -> None:
    found = settings(callback_secrets=f"{SECRET}, {NEXT},")
    assert found.secrets_of_workers == (SECRET, NEXT)
    assert SECRET not in repr(found)
    assert settings().secrets_of_workers == ()


def test_a_secret_that_can_be_guessed_is_refused() -> None:
    with pytest.raises(ValidationError, match="at least 32 characters"):
        settings(callback_secrets=f"{SECRET},guess")


# ---------------------------------------------------------------- the report


@pytest.mark.parametrize(
    "changed",
    [
        '"status": "failed"',
        '"status": "completed", "error": "it broke"',
        '"status": "pending"',
        '"run": 0',
        '"run": "1"',
        '"run": true',
        '"status": "failed", "error": ""',
        '"status": "failed", "error": "\\u0000"',
        '"status": "failed", "error": "x", "error_code": "Not A Word"',
        '"result": {"faces": "many"}',
        '"result": {"faces": -1}',
        '"result": {"faces": NaN}',
        '"result": {"faces": 1e400}',
        '"result": {"embedding": [0.1]}',
        '"result": {"somebody@example.org": 1}',
        '"everything": true',
    ],
)
def test_a_report_that_is_wrong_is_refused(changed: str) -> None:
    right = '"job_id": "7b9ec9d2-2b0e-4f6f-9a0f-000000000001", "run": 1, "status": "completed"'
    JobReport.model_validate_json("{" + right + "}")
    with pytest.raises(ValidationError):
        JobReport.model_validate_json("{" + f"{right}, {changed}" + "}")


# ---------------------------------------------------------------- the documented way to sign


def test_what_the_document_for_host_apps_signs_with_is_believed() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "host-app.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    defined: dict[str, Any] = {}
    exec(code, defined)
    headers = defined["signed_headers"](SECRET, BODY)
    timestamp, signature = headers[TIMESTAMP_HEADER], headers[SIGNATURE_HEADER]
    assert why_refused((SECRET,), timestamp=timestamp, signature=signature, body=BODY, now=float(timestamp)) is None
    (example,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    assert JobReport.model_validate_json(example).status == "failed"
