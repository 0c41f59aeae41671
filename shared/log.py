"""Structured logs: one JSON object per line, with the fields that Cloud Logging understands.

Entries carry trace, event, media and job ids, but never a name, an address or an embedding.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog
from structlog.tracebacks import ExceptionDictTransformer

from shared.version import VERSION

_CLOUD_TRACE = re.compile(r"^([0-9a-f]{32})(?:/(\d+))?", re.IGNORECASE)
# For example "Failing row contains (...)" or "Key (email)=(...) already exists"; the constraint's name comes before it.
_POSTGRES_DETAIL = re.compile(r"\nDETAIL:.*", re.DOTALL)
_TRACEPARENT = re.compile(r"^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$")


def _as_severity(_logger: object, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    entry["severity"] = str(entry.pop("level", "info")).upper()
    entry["message"] = entry.pop("event", "")
    return entry


def _without_rows(_logger: object, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Remove the details of a row from Postgres's error messages: its columns may hold names and addresses."""
    for exception in entry.get("exception") or ():
        exception["exc_value"] = _POSTGRES_DETAIL.sub("", str(exception["exc_value"]))
    return entry


def start_logging(function: str, level: str = "INFO") -> None:
    """Configure the log of a function's process, and write its first entry, which names Trombi's version."""
    configure_logging(function, level)
    logger().info("trombi started", version=VERSION)


def configure_logging(function: str, level: str = "INFO") -> None:
    """Send this process's log entries, including those of libraries, to standard error as JSON lines."""

    def name_the_function(_logger: object, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        entry["function"] = function
        return entry

    shared_steps: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        name_the_function,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        # Without the frames' local variables: they may hold rows with faces and addresses.
        structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
        _without_rows,
        _as_severity,
    ]
    structlog.configure(
        processors=[*shared_steps, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        # Each line is one write, including its newline, so that lines from other handlers cannot interrupt it.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared_steps,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)


def logger() -> structlog.typing.FilteringBoundLogger:
    """Return the logger: ``logger().info("what happened", job_id=...)``."""
    bound: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return bound


@contextmanager
def log_context(**ids: object) -> Iterator[None]:
    """Add ids to every entry written within the block; None values are left out."""
    present = {key: str(value) for key, value in ids.items() if value is not None}
    with structlog.contextvars.bound_contextvars(**present):
        yield


def trace_of(headers: Mapping[str, str], project: str) -> str | None:
    """Return the trace of a request in Cloud Logging's format, or None without one."""
    lowered = {name.lower(): value for name, value in headers.items()}
    for header, pattern in (("traceparent", _TRACEPARENT), ("x-cloud-trace-context", _CLOUD_TRACE)):
        found = pattern.match(lowered.get(header, ""))
        if found:
            return f"projects/{project}/traces/{found[1]}"
    return None
