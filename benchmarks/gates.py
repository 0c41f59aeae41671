"""What detector score and sharpness say of good and of poor faces: `python -m benchmarks.gates [FOLDER]`.

Takes photos of people (a folder's, the labelled event beside the repository, or those that packages bring), makes every
face tiny, dark, grainy, black and white or blurred, and prints what the detector's score and the sharpness become, how
many faces still pass the gate of the pack, and how alike the embedding stays to that of the face as it was.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from functions.detect import packs
from functions.detect.engine import DetectedFace, Engine
from shared.calibration import constants_of
from shared.decode import decode
from tests.pictures import group_photo, labelled_photos, portraits

_SIDE = 480
_MIDDLE = 0.5
_FACE = 160
Change = Callable[[Image.Image], Image.Image]


def _tiny(pixels: int) -> Change:
    def change(picture: Image.Image) -> Image.Image:
        small = picture.resize((_SIDE * pixels // _FACE,) * 2, Image.Resampling.BOX)
        canvas = Image.new("RGB", picture.size, "gray")
        canvas.paste(small, ((_SIDE - small.width) // 2, (_SIDE - small.height) // 2))
        return canvas

    return change


def _grain(deviation: float) -> Change:
    def change(picture: Image.Image) -> Image.Image:
        noise = np.random.default_rng(7).normal(0.0, deviation, (_SIDE, _SIDE, 3))
        return Image.fromarray((np.asarray(picture) + noise).clip(0, 255).astype(np.uint8))

    return change


def _blur(radius: float) -> Change:
    return lambda picture: picture.filter(ImageFilter.GaussianBlur(radius))


def _dark(brightness: float) -> Change:
    return lambda picture: ImageEnhance.Brightness(picture).enhance(brightness)


def _moved(pixels: int) -> Change:
    """Blur by a hand that moved sideways while the shutter was open."""

    def change(picture: Image.Image) -> Image.Image:
        stack = np.mean([np.roll(np.asarray(picture, dtype=np.float32), shift, 1) for shift in range(pixels)], axis=0)
        return Image.fromarray(stack.astype(np.uint8))

    return change


CHANGES: dict[str, Change] = {
    "as it is, 160 pixels": lambda picture: picture,
    **{f"tiny, {pixels} pixels": _tiny(pixels) for pixels in (64, 40, 28, 20)},
    **{f"dark, {part:.0%} of the light": _dark(part) for part in (0.4, 0.2, 0.1)},
    **{f"grain, deviation {deviation:.0f} of 255": _grain(deviation) for deviation in (10, 25, 50)},
    "black and white": lambda picture: picture.convert("L").convert("RGB"),
    **{f"out of focus, {radius:g} pixels": _blur(radius) for radius in (1, 2, 4, 8)},
    **{f"moved by {pixels} pixels": _moved(pixels) for pixels in (6, 12, 24)},
}


def _pictures(folder: Path | None) -> Iterator[Path]:
    labelled = labelled_photos()
    if folder is not None:
        yield from sorted(path for path in folder.rglob("*") if path.is_file())
    elif labelled is not None:
        yield from (*labelled.singles, *labelled.groups)
    else:
        yield from (picture.path for picture in (group_photo(), *portraits()))


def _cut(path: Path, engine: Engine) -> Iterator[Image.Image]:
    """Every face of a photo in a picture of its own, 160 pixels wide."""
    photo = decode(path.read_bytes())
    picture = Image.fromarray(photo.rgb)
    for face in engine.detect(photo).faces:
        width = face.box.w * picture.width
        middle = ((face.box.x + face.box.w / 2) * picture.width, (face.box.y + face.box.h / 2) * picture.height)
        half = width * _SIDE / _FACE / 2
        area = (middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half)
        yield picture.transform((_SIDE, _SIDE), Image.Transform.EXTENT, area, Image.Resampling.BICUBIC)


def _largest(picture: Image.Image, engine: Engine) -> DetectedFace | None:
    content = io.BytesIO()
    picture.save(content, "PNG", compress_level=1)
    faces = engine.detect(decode(content.getvalue())).faces
    middle = [face for face in faces if face.box.x < _MIDDLE < face.box.x + face.box.w]
    return max(middle, key=lambda face: face.size_px, default=None)


def main() -> None:
    """Measure and print."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    pack = packs.find(os.environ.get("FACE_PACK", "mini"))
    engine = Engine(packs.fetch(pack.name).resolve(), threads=len(os.sched_getaffinity(0)))
    gate = constants_of(pack.name).cluster
    pictures = [picture for path in _pictures(folder) for picture in _cut(path, engine)]
    before = [_largest(picture, engine) for picture in pictures]
    print(f"{pack.name}: {len(pictures)} faces; the gate asks for a score of {gate.seed_min_quality} ", end="")
    print(f"and a sharpness of {gate.seed_min_sharpness}\n")
    print("| face | found | score 10 / 50 / 90 % | sharpness 10 / 50 / 90 % | pass the gate | cosine, mean | least |")
    print("|---|---|---|---|---|---|---|")
    for name, change in CHANGES.items():
        pairs = [(_largest(change(picture), engine), as_was) for picture, as_was in zip(pictures, before, strict=True)]
        found = [(face, as_was) for face, as_was in pairs if face is not None and as_was is not None]
        print(_row(name, found, len(pictures), gate.seed_min_quality or 0.0, gate.seed_min_sharpness or 0.0))


def _row(name: str, found: list[tuple[DetectedFace, DetectedFace]], of: int, quality: float, sharpness: float) -> str:
    if not found:
        return f"| {name} | 0 of {of} | - | - | - | - | - |"
    scores = np.quantile([face.quality_score for face, _ in found], (0.1, 0.5, 0.9))
    sharp = np.quantile([face.sharpness for face, _ in found], (0.1, 0.5, 0.9))
    passing = sum(face.quality_score >= quality and face.sharpness >= sharpness for face, _ in found)
    alike = [float(face.embedding @ as_was.embedding) for face, as_was in found]
    return (
        f"| {name} | {len(found)} of {of} | {' / '.join(f'{score:.2f}' for score in scores)} "
        f"| {' / '.join(f'{value:.0f}' for value in sharp)} | {passing} | {np.mean(alike):.2f} | {min(alike):.2f} |"
    )


if __name__ == "__main__":
    main()
