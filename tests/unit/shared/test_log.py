"""The log: one JSON line an entry, in Cloud Logging's words."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from shared.log import configure_logging, log_context, logger, trace_of
from tests.unit.shared.quiet import plain_logging_afterwards

TRACE = "0123456789abcdef0123456789abcdef"


@contextmanager
def configured() -> Iterator[None]:
    with plain_logging_afterwards():
        configure_logging("detect")
        yield


def test_an_entry_is_one_json_line_with_its_ids(capsys: pytest.CaptureFixture[str]) -> None:
    with configured(), log_context(job_id="j", event_id=None):
        logger().info("a photo\nwas read", faces=3)
    (line,) = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert entry.pop("time").endswith("Z")
    assert (entry.pop("severity"), entry.pop("message")) == ("INFO", "a photo\nwas read")
    assert entry == {"function": "detect", "job_id": "j", "faces": 3}


def test_a_traceback_holds_no_local_variable(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(address: str) -> None:
        rows = [{"email": address}]
        raise RuntimeError(str(len(rows)))

    with configured():
        try:
            fail("somebody@example.org")
        except RuntimeError:
            logger().exception("unexpected error")
    written = capsys.readouterr().err
    assert "RuntimeError" in written
    assert "somebody" not in written


def test_ids_end_with_their_block(capsys: pytest.CaptureFixture[str]) -> None:
    with configured():
        with log_context(job_id="outer"), log_context(job_id="inner"):
            pass
        logger().info("afterwards")
    assert "job_id" not in json.loads(capsys.readouterr().err)


def test_the_entries_of_libraries_are_of_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    with configured(), log_context(job_id="j"):
        logging.getLogger("urllib3").warning("retrying %s", "once")
        logging.getLogger("urllib3").info("of no interest")
    (line,) = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert (entry["severity"], entry["message"], entry["job_id"]) == ("WARNING", "retrying once", "j")


def test_a_line_is_one_write_so_that_none_comes_into_another(monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[str] = []

    class Stream(io.StringIO):
        def write(self, text: str) -> int:
            writes.append(text)
            return len(text)

    monkeypatch.setattr(sys, "stderr", Stream())
    with configured():
        logger().info("ours")
        logging.getLogger("library").warning("theirs")
    assert [json.loads(text)["message"] for text in writes] == ["ours", "theirs"]
    assert all(text.endswith("\n") for text in writes)


@pytest.mark.parametrize(
    ("headers", "trace"),
    [
        ({"traceparent": f"00-{TRACE}-0123456789abcdef-01"}, TRACE),
        ({"X-Cloud-Trace-Context": f"{TRACE}/123;o=1"}, TRACE),
        ({"x-cloud-trace-context": TRACE}, TRACE),
        ({"Traceparent": "nonsense", "X-Cloud-Trace-Context": TRACE}, TRACE),
        ({"traceparent": "00-xyz-1-01"}, None),
        ({}, None),
    ],
)
def test_the_trace_is_named_as_cloud_logging_names_it(headers: dict[str, str], trace: str | None) -> None:
    assert trace_of(headers, "p") == (f"projects/p/traces/{trace}" if trace else None)
