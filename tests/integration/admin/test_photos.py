"""GET /media/{id}/image: the photo for the page of a person."""

from __future__ import annotations

import io
import threading
from collections import defaultdict
from uuid import UUID

import pytest
from PIL import ExifTags, Image

from functions.admin.photos import routes as photos_module
from shared.database import Connection
from shared.decode import DecodedPhoto, DecodeLimits, decode
from tests.arrange import PHOTOS_BUCKET, event, member, photo
from tests.integration.admin import conftest as admin_tests
from tests.integration.admin.conftest import AdminSite, open_site
from tests.unit.shared.photo_files import CORNERS, card, corner_colours, encode, every_format, png_bomb

_ROTATED = 6  # EXIF: the camera was held sideways


def uploaded(site: AdminSite, event_id: UUID, data: bytes) -> UUID:
    media_id = photo(site.connection, event_id)
    name = f"events/{event_id}/{media_id}/photo.jpg"
    generation = site.objects.put(PHOTOS_BUCKET, name, data)
    site.connection.execute("UPDATE media SET object_generation = %s WHERE id = %s", (generation, media_id))
    return media_id


def shown(site: AdminSite, media_id: UUID, query: str = "") -> Image.Image:
    answer = site.client.get(f"/media/{media_id}/image{query}", headers=site.token())
    assert (answer.status_code, answer.mimetype) == (200, "image/jpeg"), answer.text
    return Image.open(io.BytesIO(answer.data))


@pytest.mark.parametrize("kind", sorted(every_format()))
def test_a_photo_of_any_format_is_shown_as_jpeg(site: AdminSite, kind: str) -> None:
    picture = shown(site, uploaded(site, event(site.connection), every_format()[kind]))
    assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", card().size), "and never enlarged"
    for told, drawn in zip(corner_colours(decode(encode(picture, "PNG")).rgb), CORNERS, strict=True):
        assert told == pytest.approx(drawn, abs=40)


def test_a_photo_is_upright_and_says_nothing_of_where_it_was_taken(site: AdminSite) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = _ROTATED
    exif[ExifTags.Base.Artist] = "somebody"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (48.0, 51.0, 24.0)
    picture = card(400, 200)
    data = encode(picture, "JPEG", exif=exif)
    assert b"somebody" in data
    media_id = uploaded(site, event(site.connection), data)
    told = shown(site, media_id)
    assert told.size == (200, 400)
    assert dict(told.getexif()) == {}
    assert not {"exif", "icc_profile", "xmp", "comment"} & set(told.info)
    assert b"somebody" not in site.client.get(f"/media/{media_id}/image", headers=site.token()).data


@pytest.mark.parametrize(
    ("asked", "size"),
    [("", (1024, 512)), ("?width=64", (64, 32)), ("?width=127", (64, 32)), ("?width=500", (384, 192))],
)
def test_sizes_are_few_and_never_larger_than_asked(site: AdminSite, asked: str, size: tuple[int, int]) -> None:
    media_id = uploaded(site, event(site.connection), encode(card(3000, 1500), "JPEG"))
    assert shown(site, media_id, asked).size == size


def test_the_longer_side_is_what_counts(site: AdminSite) -> None:
    media_id = uploaded(site, event(site.connection), encode(card(500, 2000), "PNG"))
    assert shown(site, media_id, "?width=1000").size == (192, 768)


@pytest.mark.parametrize("width", ["63", "2049", "-1", "x", ""])
def test_a_size_that_is_not_made_is_refused(site: AdminSite, width: str) -> None:
    media_id = uploaded(site, event(site.connection), encode(card(), "PNG"))
    assert site.ask("GET", f"/media/{media_id}/image?width={width}")[0] == 422


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "empty"),
        (b"just words", "The file is a text."),
        (encode(card(), "JPEG")[:200], "cut short"),
        (b"\x00\x00\x00\x20ftypisom" + bytes(100), "video"),
        (png_bomb(20_000), "megapixels"),
        (encode(card(2000, 20), "PNG"), "times as long"),
    ],
)
def test_a_photo_that_cannot_be_read_is_told_in_a_sentence(site: AdminSite, data: bytes, told: str) -> None:
    status, problem = site.ask("GET", f"/media/{uploaded(site, event(site.connection), data)}/image")
    assert (status, problem["code"]) == (422, "unreadable")
    assert told in problem["detail"]


def test_a_photo_that_is_too_large_or_gone_is_told(site: AdminSite, database_url: str) -> None:
    event_id = event(site.connection)
    deleted = uploaded(site, event_id, encode(card(), "PNG"))
    site.connection.execute("UPDATE media SET deleted_generation = object_generation WHERE id = %s", (deleted,))
    overwritten = uploaded(site, event_id, encode(card(), "PNG"))
    site.objects.put(PHOTOS_BUCKET, f"events/{event_id}/{overwritten}/photo.jpg", b"another")
    announced = photo(site.connection, event_id, generation=None, named=False)
    for gone in (deleted, overwritten, announced):
        assert site.ask("GET", f"/media/{gone}/image")[0] == 404
    with open_site(database_url, site.connection, max_photo_bytes=10) as strict:
        media_id = uploaded(strict, event_id, encode(card(), "PNG"))
        status, problem = strict.ask("GET", f"/media/{media_id}/image")
    assert (status, problem["code"]) == (422, "too_large")


def test_the_memory_of_a_photo_is_detect_s_setting_and_what_takes_more_is_told(
    site: AdminSite, database_url: str
) -> None:
    with open_site(database_url, site.connection, max_photo_memory=2**26) as small:
        event_id = event(small.connection)
        assert shown(small, uploaded(small, event_id, encode(card(3000, 2000), "PNG"))).size == (1024, 683)
        media_id = uploaded(small, event_id, encode(card(3000, 2000), "WEBP", quality=1, method=0))
        status, problem = small.ask("GET", f"/media/{media_id}/image")
    assert (status, problem["code"]) == (422, "unreadable")
    assert "the limit is 64" in problem["detail"]


def test_asking_again_costs_neither_bucket_nor_decoder(site: AdminSite) -> None:
    media_id = uploaded(site, event(site.connection), encode(card(600, 400), "PNG"))
    path = f"/media/{media_id}/image"
    first = site.client.get(path, headers=site.token())
    assert first.headers["Cache-Control"] == "private, no-cache"
    known = site.token() | {"If-None-Match": first.headers["ETag"]}
    looked = len(site.objects.reads)
    assert site.client.get(path, headers=known).status_code == 304
    assert len(site.objects.reads) == looked
    assert site.client.get(f"{path}?width=64", headers=known).status_code == 200, "another size is another picture"


def test_a_photo_is_for_organisers_and_for_who_is_tagged_in_it(site: AdminSite) -> None:
    event_id, other = event(site.connection), event(site.connection)
    tagged, accepted, guest = (member(site.connection, event_id) for _ in range(3))
    media_id = uploaded(site, event_id, encode(card(), "PNG"))
    for user_id, source in ((tagged, "face_clustering"), (accepted, "suggested")):
        site.connection.execute(
            "INSERT INTO media_tags (media_id, tagged_user_id, source) VALUES (%s, %s, %s)",
            (media_id, user_id, source),
        )
    seen = {
        name: site.client.get(f"/media/{media_id}/image", headers=site.token(user_id)).status_code
        for name, user_id in {
            "organiser": member(site.connection, event_id, "organizer"),
            "tagged": tagged,
            "accepted": accepted,
            "guest": guest,
            "owner of another event": member(site.connection, other, "owner"),
        }.items()
    }
    assert seen == {"organiser": 200, "tagged": 200, "accepted": 200, "guest": 404, "owner of another event": 404}
    counted = site.connection.execute("SELECT what, subject_id, reads FROM biometric_reads").fetchall()
    assert [(row["what"], row["subject_id"], row["reads"]) for row in counted] == [("photo", media_id, 1)] * 3


@pytest.mark.parametrize(("needed", "at_once"), [(1, 2), (DecodeLimits.max_bytes, 1)])
def test_photos_are_decoded_as_many_at_a_time_as_there_is_memory_and_the_others_are_told_to_wait(
    database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch, needed: int, at_once: int
) -> None:
    # An application that was made before has the patience of production.
    monkeypatch.setattr(admin_tests, "_IDLE", defaultdict(list))
    monkeypatch.setattr(photos_module, "_PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr(photos_module, "memory_needed", lambda _data, _limits: needed)
    with open_site(database_url, connection) as site:
        _others_are_told_to_wait(site, monkeypatch, at_once)


def _others_are_told_to_wait(site: AdminSite, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    media_id = uploaded(site, event(site.connection), encode(card(), "PNG"))
    entered, leave = threading.Semaphore(0), threading.Event()

    def slow(data: bytes, limits: DecodeLimits) -> DecodedPhoto:
        entered.release()
        assert leave.wait(60)
        return decode(data, limits)

    monkeypatch.setattr("functions.admin.photos.preview.decode", slow)
    statuses: list[int] = []

    def look() -> None:
        client = site.client.application.test_client()
        statuses.append(client.get(f"/media/{media_id}/image", headers=site.token()).status_code)

    busy = [threading.Thread(target=look) for _ in range(at_once)]
    for thread in busy:
        thread.start()
    for _ in busy:
        assert entered.acquire(timeout=60)
    answer = site.client.get(f"/media/{media_id}/image", headers=site.token())
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    leave.set()
    for thread in busy:
        thread.join()
    assert statuses == [200] * len(busy)
    look()
    assert statuses[-1] == 200, "a place is free again"
