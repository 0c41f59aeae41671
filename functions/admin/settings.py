"""What admin reads from its environment."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from shared.settings import Settings


class AdminSettings(Settings):
    """Each field is the environment variable of the same name in capitals."""

    # 256 bits: an HS256 key shorter than its hash can be guessed.
    jwt_secret: Annotated[str, Field(min_length=32, repr=False)]
    jwt_audience: Annotated[str, Field(min_length=1)] = "authenticated"
