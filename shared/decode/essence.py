"""What is left of a file once its metadata has been read and taken away."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Essence:
    """A file that holds a picture's pixels and nothing else.

    `orientation` is 1 to 8, as EXIF writes it, where it is still to be applied. `profile` is the ICC profile of the
    pixels, empty where there is none.
    """

    file: bytes
    orientation: int = 1
    profile: bytes = b""
