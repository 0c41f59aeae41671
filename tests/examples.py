"""How many examples hypothesis tries: as many as a test says, or, with TROMBI_EXAMPLES=20, twenty times as many."""

from __future__ import annotations

import os

_TIMES = int(os.environ.get("TROMBI_EXAMPLES", "1"))
USUAL = 100
"""What a test that says nothing gets: hypothesis' own default."""


def examples(usual: int = USUAL) -> int:
    """The number of examples of a test that usually takes ``usual``."""
    return usual * _TIMES
