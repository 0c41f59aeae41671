"""Which of the objects under one media id is the photo (pure). docs/host-app.md states the rules for host apps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from shared.decode import BadImageCode

NOT_AN_IMAGE = "not an image"
COMPANION = "companion of a photo"
SECOND_PICTURE = "second_picture"
SECOND_PICTURE_REASON = (
    "another object is this photo already, which stays as it is. To replace it, upload under its name, or name the "
    "new object in the photo's row (object_name) first; otherwise give this picture a media id of its own"
)

# What cameras, phones, operating systems and photo software write beside a picture. Left out on purpose is everything
# that may be a picture (raw files, PSD): its bytes say what it is.
_COMPANION_EXTENSIONS = frozenset(
    [
        # Live Photos, videos and their previews (THM, LRV).
        *("mov", "mp4", "m4v", "qt", "avi", "3gp", "3g2", "mpg", "mpeg", "mts", "m2ts", "mkv", "webm", "wmv"),
        *("thm", "lrv"),
        # Voice notes.
        *("wav", "mp3", "m4a", "aac", "amr", "aif", "aiff", "flac", "ogg", "opus"),
        # Sidecars: XMP, Apple, Google Takeout, RawTherapee, DxO, Capture One, ON1, Nikon, Canon, plain metadata.
        *("xmp", "aae", "json", "xml", "pp3", "dop", "cos", "on1", "nksc", "vrd", "dr4", "mie", "gpx"),
        # Documents and archives.
        *("txt", "csv", "ini", "log", "pdf", "html", "htm", "zip", "gz", "tar", "7z", "rar"),
    ]
)
_COMPANION_NAMES = frozenset({".ds_store", "thumbs.db", "ehthumbs.db", ".nomedia", ".directory", "icon\r"})
# AppleDouble files, and the folders of previews of Synology, QNAP and macOS archives.
_COMPANION_PREFIX = "._"
_COMPANION_FOLDERS = frozenset({"@eadir", ".@__thumb", "__macosx"})

# A job that ended so has looked at its object, and it shows no photo.
_UNREADABLE = frozenset({*(code.value for code in BadImageCode), "too_large"})


@dataclass(frozen=True)
class Photo:
    """A photo's row, locked. ``generation`` is None until an object is known."""

    media_id: UUID
    event_id: UUID
    bucket: str | None
    object_name: str | None
    generation: int | None
    deleted_generation: int

    def names(self, bucket: str, object_name: str) -> bool:
        """Whether this object's name is the photo's, as the host app announced it or an upload made it so."""
        return (self.bucket, self.object_name) == (bucket, object_name)

    @property
    def is_there(self) -> bool:
        """Whether the photo's object was seen and not deleted since."""
        return self.generation is not None and self.deleted_generation < self.generation


@dataclass(frozen=True)
class Outcome:
    """How the job of an object ended, or (``pending``, ``processing``) has not."""

    status: str
    error_code: str | None
    skipped: str | None

    @property
    def shows_no_photo(self) -> bool:
        """Whether the object was looked at and is no picture, or none that can be read."""
        if self.status == "failed":
            return self.error_code in _UNREADABLE
        return self.status == "completed" and self.skipped in (NOT_AN_IMAGE, COMPANION)

    @property
    def waits(self) -> bool:
        """Whether the object may still become the photo: it was refused, or nobody has looked at it yet."""
        return self.status != "completed" and not self.shows_no_photo


class Standing(Enum):
    """What an object that was uploaded is to the photo whose media id it carries."""

    PHOTO = "it becomes the photo, or is a newer version of it"
    STALE = "a version that was replaced or deleted since"
    COMPANION = "its name says that it is no picture"
    BESIDE = "another object is the photo; whether this is a picture its bytes say"


@dataclass(frozen=True)
class Candidate:
    """An object in the bucket that carries the photo's media id. ``outcome``: of its job, None without one."""

    object_name: str
    generation: int
    size: int
    outcome: Outcome | None


def is_folder(object_name: str) -> bool:
    """Whether the object only stands for a folder, as storage browsers make them."""
    return object_name.endswith(("/", "_$folder$"))


def is_companion(object_name: str) -> bool:
    """Whether the name alone says that the object is no picture but accompanies one."""
    *folders, name = object_name.lower().split("/")
    _, dot, extension = name.rpartition(".")
    return (
        (bool(dot) and extension in _COMPANION_EXTENSIONS)
        or name in _COMPANION_NAMES
        or name.startswith(_COMPANION_PREFIX)
        or not _COMPANION_FOLDERS.isdisjoint(folders)
        or is_folder(object_name)
    )


def standing(
    photo: Photo, bucket: str, object_name: str, generation: int, current: Outcome | None, *, keeps_faces: bool
) -> Standing:
    """Say what an uploaded object is; ``current`` is the outcome of the job of the photo's present object.

    Where that shows no photo, ``keeps_faces`` says whether an earlier version did whose faces are still there.

    Generations of different names are not compared: Cloud Storage orders those of one name only.
    """
    if photo.names(bucket, object_name):
        stale = generation <= photo.deleted_generation or generation < (photo.generation or 0)
        if stale:
            return Standing.STALE
        return Standing.COMPANION if is_companion(object_name) else Standing.PHOTO
    if is_companion(object_name):
        return Standing.COMPANION
    return Standing.PHOTO if _is_free(photo, bucket, current, keeps_faces=keeps_faces) else Standing.BESIDE


def _is_free(photo: Photo, bucket: str, current: Outcome | None, *, keeps_faces: bool) -> bool:
    """Whether another object may become the photo. One that the host app announced and that is to come keeps out."""
    if photo.object_name is None or photo.bucket != bucket or is_companion(photo.object_name):
        return True
    if photo.generation is None:
        return photo.deleted_generation > 0
    return not photo.is_there or (current is not None and current.shows_no_photo and not keeps_faces)


def successor(photo: Photo, candidates: Sequence[Candidate]) -> Candidate | None:
    """Which object becomes the photo now that the photo's own is gone, or shows none; None where nothing waits.

    The photo's own name comes first (uploaded anew), then the largest: a copy that was scaled down is smaller than
    what it was made from. What was looked at before does not come back: it is no picture, or was replaced.
    """
    waiting = [
        candidate
        for candidate in candidates
        if not is_companion(candidate.object_name)
        and not (candidate.object_name == photo.object_name and candidate.generation <= (photo.generation or 0))
        and (candidate.outcome is None or candidate.outcome.waits)
    ]
    return min(
        waiting,
        key=lambda found: (found.object_name != photo.object_name, -found.size, found.generation, found.object_name),
        default=None,
    )
