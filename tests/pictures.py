"""Where tests find real pictures."""

import json
from dataclasses import dataclass
from pathlib import Path

from local.demo.sample_pictures import SamplePicture, face_free_pictures, group_photo, portraits

__all__ = [
    "LabelledPhotos",
    "SamplePicture",
    "face_free_pictures",
    "group_photo",
    "labelled_photos",
    "portraits",
    "shared_photos",
]

_REPOSITORY = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class LabelledPhotos:
    """Photos of one event with the people in them; groups name people from left to right."""

    singles: dict[Path, str]
    groups: dict[Path, list[str]]


def shared_photos() -> Path | None:
    """Return the folder of photos beside the repository, or None on a machine that does not have it."""
    folder = _REPOSITORY.parent / "shared" / "photos"
    return folder if folder.is_dir() else None


def labelled_photos() -> LabelledPhotos | None:
    """Return the labelled event among the shared photos, or None when they are not there."""
    folder = shared_photos()
    if folder is None:
        return None
    labels = json.loads((folder / "sitcom" / "labels.json").read_text(encoding="utf-8"))
    return LabelledPhotos(
        singles={folder / "sitcom" / name: person for name, person in labels["singles"].items()},
        groups={folder / "sitcom" / name: people for name, people in labels["groups"].items()},
    )
