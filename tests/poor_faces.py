"""Photos of heads that nobody can be told by: blurred, or half hidden, made from good ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageOps

SIDE = 240


def make_poor_photos(people: Mapping[Path, str], folder: Path, count: int = 20) -> dict[Path, str]:
    """Write ``count`` photos of one head each into ``folder``; returns whose head each shows.

    ``people`` are photos that one face fills, and whose it is. Every person is drawn from in turn; blur and what hides
    the half change from photo to photo.
    """
    by_person: dict[str, list[Path]] = {}
    for path, person in sorted(people.items()):
        by_person.setdefault(person, []).append(path)
    names = sorted(by_person)
    made: dict[Path, str] = {}
    for number in range(count):
        person = names[number % len(names)]
        path = by_person[person][number // len(names) % len(by_person[person])]
        target = folder / f"poor-{number:02}.jpg"
        _poor(Image.open(path).convert("RGB"), number).save(target, quality=85)
        made[target] = person
    return made


def _poor(picture: Image.Image, number: int) -> Image.Image:
    """The head on a ground of its own, out of focus, every second one half hidden as well."""
    head = ImageOps.fit(picture, (SIDE // 2, SIDE // 2))
    ground = Image.new("RGB", (SIDE, SIDE), (90 + 5 * number, 110, 130))
    corner = SIDE // 4
    ground.paste(head, (corner, corner))
    if number % 2:
        hidden = ImageDraw.Draw(ground)
        if number % 4 == 1:
            hidden.rectangle((0, SIDE // 2 + 6, SIDE, SIDE), fill=(70, 60, 50))
        else:
            hidden.rectangle((0, 0, SIDE // 2 - 8, SIDE), fill=(70, 60, 50))
    return ground.filter(ImageFilter.GaussianBlur(4.0 + number % 5))
