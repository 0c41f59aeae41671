"""Which photos are read: the same for detect, which looks at them, and for admin, which shows them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from shared.decode import DecodeLimits
from shared.settings import Settings


class PhotoSettings(Settings):
    """Each field is the environment variable of the same name in capitals; they have to be the same for both."""

    max_photo_bytes: Annotated[int, Field(ge=1, description="of the file")] = 100 * 2**20
    # A baseline JPEG takes little memory, whatever its size; more pixels than phones write take only time.
    max_photo_pixels: Annotated[int, Field(ge=1)] = DecodeLimits.max_pixels
    # What decoding one photo may take, and all that are decoded at a time together. The process needs as much more for
    # itself and the files: docs/formats.md says how many pixels of which format this is.
    max_photo_memory: Annotated[int, Field(ge=2**26, description="bytes")] = DecodeLimits.max_bytes

    def decode_limits(self) -> DecodeLimits:
        """Return the limits that the settings define."""
        return DecodeLimits(max_pixels=self.max_photo_pixels, max_bytes=self.max_photo_memory)
