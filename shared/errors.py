"""The outcomes of handling a message, as exception types.

A handler that returns has succeeded. `Permanent`, `Malformed` and `Retryable` are the other outcomes; any other
exception counts as retryable and is logged with its traceback.
"""

from __future__ import annotations


class TrombiError(Exception):
    """Base class of all errors that Trombi raises on purpose; the text says what was wrong and what to do."""


class Malformed(TrombiError):
    """The message cannot be understood: answered 400, redelivered, then dead-lettered and kept for replay."""


class Permanent(TrombiError):
    """The message can never be handled: recorded with its reason, and acknowledged.

    Args:
        code: a stable, machine-readable word, as stored in ``ml_jobs.error_code``.
        reason: what was wrong and what to do, for people; it must hold no name, address or embedding.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Retryable(TrombiError):
    """Something is unavailable or busy: answered 503, so that the bus tries again later."""


class Busy(Retryable):
    """There is no capacity for more work at the moment: answered 429, so that the bus slows down and tries again.

    No work was begun, so this is not an error of the job: no error is recorded and no attempt is counted.
    """


class SettingsError(TrombiError):
    """An environment variable is missing or wrong; the text names it."""
