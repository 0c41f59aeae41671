"""The largest photo that is let in fits into the memory that the function has."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

_REPOSITORY = Path(__file__).resolve().parents[3]

_PROGRAM = """
import resource, sys
from pathlib import Path
from shared.decode import decode
from functions.detect.engine import Engine
engine = Engine(Path(sys.argv[1]), threads=1)
photo = decode(Path(sys.argv[2]).read_bytes())
engine.detect(photo)
print(photo.original_width * photo.original_height, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.mark.parametrize(
    ("file_format", "mode"),
    [("JPEG", "RGB"), ("PNG", "RGB"), ("PNG", "RGBA"), ("TIFF", "CMYK"), ("WEBP", "RGB")],
)
def test_a_photo_of_100_megapixels_takes_less_than_two_gibibytes(
    mini_pack: Path, tmp_path: Path, file_format: str, mode: str
) -> None:
    options: dict[str, int] = {"PNG": {"compress_level": 1}, "WEBP": {"method": 0}}.get(file_format, {})
    path = tmp_path / "photo"
    stream = io.BytesIO()
    Image.new(mode, (12_500, 8_000)).save(stream, file_format, **options)
    path.write_bytes(stream.getvalue())
    finished = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(mini_pack), str(path)],
        cwd=_REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    pixels, peak = (int(number) for number in finished.stdout.split())
    assert pixels == 100_000_000
    assert peak < 2 << 30
