"""The contact sheet: a row per person, their best face first (a *trombinoscope*)."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

_CELL = 112
_GAP = 8
_LABEL_WIDTH = 170
_MOST_FACES = 12
_BACKGROUND = (250, 250, 248)
_INK = (40, 40, 40)
_PALE = (120, 120, 120)

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
"""The kinds of picture that a sheet may be written as, by the end of the file's name."""


def write_contact_sheet(report: Mapping[str, Any], thumbnails: Mapping[str, bytes], path: Path) -> None:
    """Write the persons of a demo's ``report`` as a picture, with the faces in ``thumbnails`` (JPEG by face id).

    ``path`` ends with one of :data:`SUFFIXES`, and its folder is there.
    """
    photos_of: dict[str, set[str]] = {}
    faces_of: dict[str, list[str]] = {}
    for photo in report["photos"]:
        for face in sorted(photo["faces"], key=lambda face: -face["quality"]):
            if face["person"]:
                faces_of.setdefault(face["person"], []).append(face["id"])
                photos_of.setdefault(face["person"], set()).add(photo["name"])
    persons = [person for person in report["persons"] if person["id"] in faces_of]
    columns = min(max((len(faces_of[person["id"]]) for person in persons), default=1), _MOST_FACES)
    width = _LABEL_WIDTH + columns * (_CELL + _GAP) + _GAP
    sheet = Image.new("RGB", (width, max(len(persons), 1) * (_CELL + _GAP) + _GAP), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    large, small = ImageFont.load_default(20), ImageFont.load_default(14)
    if not persons:
        draw.text((_GAP, _CELL // 2), "nobody was found", _INK, large)
    for row, person in enumerate(persons):
        top = _GAP + row * (_CELL + _GAP)
        draw.text((_GAP, top + _CELL // 2 - 24), person["label"], _INK, large)
        faces, photos = len(faces_of[person["id"]]), len(photos_of[person["id"]])
        draw.text((_GAP, top + _CELL // 2 + 4), f"{faces} faces, {photos} photos", _PALE, small)
        best_first = sorted(faces_of[person["id"]], key=lambda face_id: face_id != person["representative"])
        for column, face_id in enumerate(best_first[:_MOST_FACES]):
            if face_id in thumbnails:
                face = Image.open(BytesIO(thumbnails[face_id])).convert("RGB").resize((_CELL, _CELL))
                sheet.paste(face, (_LABEL_WIDTH + column * (_CELL + _GAP), top))
    sheet.save(path)
