"""Photos whose faces were found came as an empty tile: the page had limits of its own."""

import io
from collections.abc import Callable

import pytest
from PIL import Image

from functions.admin.photos.preview import preview
from functions.admin.settings import AdminSettings
from functions.detect.settings import DetectSettings
from shared.decode import DecodeLimits, decode, memory_needed
from shared.photo_settings import PhotoSettings
from shared.settings import Settings
from tests.unit.shared.photo_files import card, encode, tall_jpeg

_PHOTOS: dict[str, Callable[[], bytes]] = {
    "JPEG of 108 megapixels": lambda: tall_jpeg(12_000, 9_000),
    "JPEG of 200 megapixels": lambda: tall_jpeg(16_320, 12_240),
    "WebP of 24 megapixels": lambda: encode(card(6_000, 4_000), "WEBP", quality=1, method=0),
}


@pytest.mark.parametrize("name", _PHOTOS)
def test_a_large_photo_that_detect_reads_is_shown(name: str) -> None:
    data = _PHOTOS[name]()
    limits = DecodeLimits()
    assert 0 < memory_needed(data, limits) <= limits.max_bytes
    assert decode(data, limits, enough=1280).original_width > 1024
    assert max(Image.open(io.BytesIO(preview(data, 1024, limits))).size) == 1024


def test_both_have_the_same_settings_of_photos() -> None:
    names = set(PhotoSettings.model_fields) - set(Settings.model_fields)
    assert names == {"max_photo_bytes", "max_photo_pixels", "max_photo_memory"}
    for name in names:
        assert AdminSettings.model_fields[name].default == DetectSettings.model_fields[name].default
