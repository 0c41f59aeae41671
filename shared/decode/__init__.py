"""From the bytes of a file to an upright RGB picture of bounded size; every bad input has a name (reading.py)."""

from shared.decode.outcome import BadImage, BadImageCode, DecodedPhoto, DecodeLimits
from shared.decode.reading import decode, decode_again, memory_needed
from shared.sniff import NotAnImage

__all__ = [
    "BadImage",
    "BadImageCode",
    "DecodeLimits",
    "DecodedPhoto",
    "NotAnImage",
    "decode",
    "decode_again",
    "memory_needed",
]
