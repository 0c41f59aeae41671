"""The limits on photos, which are the same for detect and for admin."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from shared.decode import DecodeLimits
from shared.settings import Settings


class PhotoSettings(Settings):
    """Each field is the environment variable of the same name in capitals; both functions need the same values."""

    max_photo_bytes: Annotated[int, Field(ge=1, description="of the file")] = 100 * 2**20
    # A limit of time rather than memory: a baseline JPEG of any size needs little memory.
    max_photo_pixels: Annotated[int, Field(ge=1)] = DecodeLimits.max_pixels
    # The memory for decoding one photo, and for all photos decoded concurrently. The process needs about as much again
    # for itself and the files. docs/formats.md says how many pixels of each format this allows.
    max_photo_memory: Annotated[int, Field(ge=2**26, description="bytes")] = DecodeLimits.max_bytes

    def decode_limits(self) -> DecodeLimits:
        """Return the limits that the settings define."""
        return DecodeLimits(max_pixels=self.max_photo_pixels, max_bytes=self.max_photo_memory)
