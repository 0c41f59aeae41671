"""The operator's jobs beside callback's use cases, on a real Postgres."""

from __future__ import annotations

from tests.integration.callback.conftest import callback

__all__ = ["callback"]
