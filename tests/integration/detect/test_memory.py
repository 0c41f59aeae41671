"""The largest photos that are let in take the memory that they were announced with, and so fit into the function's."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from shared.decode import DecodeLimits
from tests.unit.shared.photo_files import encode, tall_jpeg

_REPOSITORY = Path(__file__).resolve().parents[3]

# What is taken is the peak beyond what the process holds before. getrusage would count the peak of the test's own
# process as well, from which this one was started.
_PROGRAM = """
import sys
from pathlib import Path
from shared.decode import decode, memory_needed
from functions.detect.engine import ENOUGH_TO_DETECT, Engine
engine = Engine(Path(sys.argv[1]), threads=1)
data = Path(sys.argv[2]).read_bytes()
def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024
peak = lambda: status("VmHWM:")
before = status("VmRSS:")
photo = decode(data, enough=ENOUGH_TO_DETECT)
decoded = peak()
engine.detect(photo)
print(photo.original_width * photo.original_height, memory_needed(data), decoded - before, peak())
"""
_PHOTOS: dict[str, tuple[int, Callable[[], bytes]]] = {
    "JPEG, baseline": (250, lambda: tall_jpeg(20_000, 12_500)),
    "JPEG, progressive": (100, lambda: encode(_blank("RGB", 100), "JPEG", progressive=True, subsampling=0)),
    "PNG with transparency": (100, lambda: encode(_blank("RGBA", 100), "PNG", compress_level=1)),
    "WebP": (48, lambda: encode(_blank("RGB", 48), "WEBP", method=0)),
    "TIFF, CMYK": (64, lambda: encode(_blank("CMYK", 64), "TIFF", compression="tiff_lzw")),
}


def _blank(mode: str, megapixels: int) -> Image.Image:
    return Image.new(mode, (megapixels * 100, 10_000))


@pytest.mark.parametrize("name", _PHOTOS)
def test_a_large_photo_takes_no_more_memory_than_announced(mini_pack: Path, tmp_path: Path, name: str) -> None:
    megapixels, make = _PHOTOS[name]
    path = tmp_path / "photo"
    path.write_bytes(make())
    finished = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(mini_pack), str(path)],
        cwd=_REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    pixels, needed, taken, peak = (int(number) for number in finished.stdout.split())
    assert pixels == megapixels * 1_000_000
    assert taken <= needed <= DecodeLimits().max_bytes
    assert peak < 2 << 30
