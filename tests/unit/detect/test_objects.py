"""Which of the objects under one media id is the photo."""

from __future__ import annotations

from uuid import uuid4

import pytest

from functions.detect.objects import (
    Candidate,
    Outcome,
    Photo,
    Standing,
    is_companion,
    is_folder,
    standing,
    successor,
)

_FOLDER = "events/e/m/"
_DONE = Outcome("completed", None, None)
_REFUSED = Outcome("failed", "second_picture", None)
_NO_PICTURE = Outcome("completed", None, "not an image")
_CORRUPT = Outcome("failed", "corrupt", None)


def _photo(name: str | None = "a.jpg", generation: int | None = 5, deleted: int = 0) -> Photo:
    return Photo(uuid4(), uuid4(), name and "photos", name and f"{_FOLDER}{name}", generation, deleted)


@pytest.mark.parametrize(
    "name",
    ["a.MOV", "a.jpg.xmp", "A.AAE", "a.jpeg.supplemental-metadata.json", "VOICE.WAV", "a.THM", ".DS_Store", "Thumbs.db",
     "._a.jpg", "@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", "__MACOSX/a.jpg", "folder/", "old_$folder$", ".xmp"],
)  # fmt: skip
def test_a_companion_is_known_by_its_name(name: str) -> None:
    assert is_companion(_FOLDER + name)


@pytest.mark.parametrize("name", ["a.jpg", "a.HEIC", "a", "mov", "json", "a.mov.jpg", "a.dng", "a.tif", "a.dat", "."])
def test_what_may_be_a_picture_is_not_taken_for_a_companion(name: str) -> None:
    assert not is_companion(_FOLDER + name)


def test_a_folder_is_what_ends_like_one() -> None:
    assert is_folder("events/e/m/")
    assert not is_folder("events/e/m/a.jpg")


@pytest.mark.parametrize(
    ("photo", "name", "generation", "current", "expected"),
    [
        (_photo(None, None), "b.jpg", 1, None, Standing.PHOTO),
        (_photo(), "a.jpg", 5, _DONE, Standing.PHOTO),
        (_photo(), "a.jpg", 6, _DONE, Standing.PHOTO),
        (_photo(), "a.jpg", 4, _DONE, Standing.STALE),
        (_photo(deleted=5), "a.jpg", 5, _DONE, Standing.STALE),
        (_photo(), "b.jpg", 1, _DONE, Standing.BESIDE),
        (_photo(), "b.jpg", 9, None, Standing.BESIDE),
        (_photo(), "b.jpg", 9, _NO_PICTURE, Standing.PHOTO),
        (_photo(), "b.jpg", 9, _CORRUPT, Standing.PHOTO),
        (_photo(), "b.jpg", 9, Outcome("failed", "no_consent", None), Standing.BESIDE),
        (_photo("a.mov"), "b.jpg", 1, None, Standing.PHOTO),
        # Another name's generation says nothing of this one.
        (_photo(deleted=5), "b.jpg", 1, _DONE, Standing.PHOTO),
        (_photo("a.jpg", None), "b.jpg", 1, None, Standing.BESIDE),
        (_photo("a.jpg", None), "a.jpg", 1, None, Standing.PHOTO),
        (_photo("a.jpg", None), "a.mov", 1, None, Standing.COMPANION),
        (_photo(None, None), "a.mov", 1, None, Standing.COMPANION),
    ],
)
def test_what_an_upload_is_to_the_photo(
    photo: Photo, name: str, generation: int, current: Outcome | None, expected: Standing
) -> None:
    assert standing(photo, "photos", _FOLDER + name, generation, current, keeps_faces=False) is expected


@pytest.mark.parametrize("current", [_NO_PICTURE, _CORRUPT])
def test_a_photo_whose_newest_version_is_unreadable_is_no_other_picture_s_place_while_it_has_faces(
    current: Outcome,
) -> None:
    assert standing(_photo(), "photos", _FOLDER + "b.jpg", 9, current, keeps_faces=True) is Standing.BESIDE
    assert standing(_photo(), "photos", _FOLDER + "a.jpg", 9, current, keeps_faces=True) is Standing.PHOTO


def test_a_row_that_names_an_object_of_another_bucket_keeps_nobody_out() -> None:
    photo = _photo("a.jpg", None)
    assert standing(photo, "new-photos", _FOLDER + "a.jpg", 1, None, keeps_faces=False) is Standing.PHOTO


def _waiting(name: str, generation: int, size: int = 1, outcome: Outcome | None = _REFUSED) -> Candidate:
    return Candidate(_FOLDER + name, generation, size, outcome)


def test_the_photo_s_own_name_comes_first_then_the_largest() -> None:
    own, small, large = _waiting("a.jpg", 6, outcome=None), _waiting("b.jpg", 1, 10), _waiting("c.jpg", 2, 20)
    assert successor(_photo(), [small, large, own]) == own
    assert successor(_photo(), [small, large]) == large


@pytest.mark.parametrize(
    "nothing",
    [
        _waiting("a.jpg", 5),
        _waiting("a.mov", 6),
        _waiting("b.jpg", 6, outcome=_DONE),
        _waiting("b", 6, outcome=_NO_PICTURE),
        _waiting("b.jpg", 6, outcome=_CORRUPT),
    ],
)
def test_what_is_gone_no_picture_or_was_looked_at_before_follows_no_photo(nothing: Candidate) -> None:
    assert successor(_photo(), [nothing]) is None
