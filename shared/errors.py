"""The outcomes of handling a message, as types: a handler that returns is done.

`Permanent`, `Malformed` and `Retryable` are the other three; any other exception counts as retryable and
is logged with its traceback.
"""

from __future__ import annotations


class TrombiError(Exception):
    """Base of every error that Trombi raises on purpose; its text says what was wrong and what to do."""


class Malformed(TrombiError):
    """The message cannot be understood: answered 400, redelivered, then dead-lettered and kept for replay."""


class Permanent(TrombiError):
    """Trying again cannot help: recorded with its reason and acknowledged.

    Args:
        code: a stable word for machines, as stored in ``ml_jobs.error_code``.
        reason: what was wrong and what to do, for people; holds no name, address or embedding.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Retryable(TrombiError):
    """Something is away or busy: answered 503, so that the bus tries again later."""


class Busy(Retryable):
    """No room for more work just now: answered 429, so that the bus slows down and tries again later.

    Nothing was begun, so that it is no error of the job: nothing is noted, and no attempt is counted.
    """


class SettingsError(TrombiError):
    """An environment variable is missing or wrong; the text names it."""
