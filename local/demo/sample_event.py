"""A sample event: what a small party's photos look like, made from pictures that installed packages ship.

Six people of insightface's group photo and scikit-image's astronaut, each in several shots that differ in
framing, light and tilt; groups of them; and landscapes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageEnhance, ImageOps

from local.demo.sample_pictures import face_free_pictures, group_photo, portraits

_LANDSCAPES = 7
_SHOT_WIDTH = 900


@dataclass(frozen=True)
class _Area:
    """Part of a picture, as fractions of its width and height."""

    left: float
    top: float
    right: float
    bottom: float

    def grown(self, by: float) -> _Area:
        """Add ``by`` times the area's size on every side, clipped at the picture's edges."""
        width, height = self.right - self.left, self.bottom - self.top
        return _Area(
            max(self.left - by * width, 0.0),
            max(self.top - by * height, 0.0),
            min(self.right + by * width, 1.0),
            min(self.bottom + by * height, 1.0),
        )

    def cut(self, picture: Image.Image) -> Image.Image:
        """Crop the picture to the area."""
        width, height = picture.size
        return picture.crop(
            (
                round(self.left * width),
                round(self.top * height),
                round(self.right * width),
                round(self.bottom * height),
            )
        )


# Where the six people of the group photo are, from left to right.
_PEOPLE = (
    _Area(0.047, 0.303, 0.132, 0.445),
    _Area(0.214, 0.175, 0.290, 0.303),
    _Area(0.362, 0.301, 0.447, 0.465),
    _Area(0.583, 0.390, 0.662, 0.542),
    _Area(0.705, 0.069, 0.789, 0.230),
    _Area(0.886, 0.305, 0.958, 0.446),
)
_ASTRONAUT = _Area(0.351, 0.121, 0.529, 0.348)
_GROUPS = {
    "everybody": _Area(0.0, 0.0, 1.0, 1.0),
    "left-half": _Area(0.0, 0.05, 0.48, 0.95),
    "right-half": _Area(0.52, 0.0, 1.0, 0.95),
    "middle": _Area(0.30, 0.2, 0.70, 0.9),
}


@dataclass(frozen=True)
class _Shot:
    """How one shot differs from the next: ``margin`` in face sizes, ``tilt`` in degrees."""

    margin: float
    tilt: float
    brightness: float
    mirrored: bool = False

    def take(self, picture: Image.Image, area: _Area) -> Image.Image:
        """Photograph the area this way."""
        turned = area.grown(self.margin).cut(picture).rotate(self.tilt, Image.Resampling.BICUBIC, fillcolor="gray")
        lit = ImageEnhance.Brightness(ImageOps.mirror(turned) if self.mirrored else turned).enhance(self.brightness)
        return ImageOps.contain(lit, (_SHOT_WIDTH, _SHOT_WIDTH))


_SHOTS = (_Shot(0.9, 0.0, 1.0), _Shot(0.7, 5.0, 1.25), _Shot(0.8, -4.0, 0.75, mirrored=True))


def make_sample_event(folder: Path) -> list[Path]:
    """Write the sample event's photos into ``folder`` (made if need be); returns their paths, sorted.

    Raises:
        SamplePictureError: a package that should bring a picture is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, photo in _photos():
        photo.save(folder / f"{name}.jpg", quality=90)
    return sorted(folder.glob("*.jpg"))


def _photos() -> Iterator[tuple[str, Image.Image]]:
    group = Image.open(group_photo().path).convert("RGB")
    astronaut = Image.open(portraits()[0].path).convert("RGB")
    for number, shot in enumerate(_SHOTS, start=1):
        for guest, area in enumerate(_PEOPLE, start=1):
            yield f"guest-{guest}-{number}", shot.take(group, area)
        yield f"guest-7-{number}", shot.take(astronaut, _ASTRONAUT)
    for name, area in _GROUPS.items():
        yield f"group-{name}", area.cut(group)
    for picture in face_free_pictures()[:_LANDSCAPES]:
        yield f"landscape-{picture.path.stem}", Image.open(picture.path).convert("RGB")
