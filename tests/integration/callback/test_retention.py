"""What was kept long enough is erased by the tick, and nothing else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb

from functions.callback.sweep import Swept
from shared.database import Connection
from tests.arrange import event, face, person, photo, rows
from tests.integration.callback.conftest import Callback

A_YEAR = timedelta(days=365)
A_DAY = timedelta(days=1)
OLD, YOUNG = A_YEAR + A_DAY, A_YEAR - A_DAY
NOTHING = Swept(0, 0, 0, 0, 0)


def aged_face(connection: Connection, event_id: UUID, age: timedelta, **arranged: Any) -> UUID:
    face_id = face(connection, event_id, photo(connection, event_id), **arranged)
    connection.execute(
        "UPDATE faces SET created_at = now() - %s, thumbnail_object = 'events/' || id || '.jpg' WHERE id = %s",
        (age, face_id),
    )
    return face_id


def invitation(connection: Connection, *, answered: timedelta | None, expires: timedelta, email: str) -> UUID:
    """An invitation that was answered, and expires, that long from now; both negative for the past."""
    event_id = event(connection)
    person_id = person(connection, event_id, status="invited")
    connection.execute("UPDATE face_persons SET invitation_email = %s WHERE id = %s", (email, person_id))
    connection.execute("INSERT INTO event_counters (event_id) VALUES (%s)", (event_id,))
    invitation_id = uuid4()
    connection.execute(
        """
        INSERT INTO invitations (id, event_id, face_person_id, token_hash, email, message, created_at, expires_at,
            answered_at, answer)
        VALUES (%(id)s, %(event)s, %(person)s, sha256(%(id)s::text::bytea), %(email)s, 'hello',
            now() - interval '1 year', now() + %(expires)s, now() + %(answered)s::interval,
            CASE WHEN %(answered)s::interval IS NOT NULL THEN 'declined' END)
        """,
        {
            "id": invitation_id,
            "event": event_id,
            "person": person_id,
            "email": email,
            "expires": expires,
            "answered": answered,
        },
    )
    connection.execute(
        "INSERT INTO decisions (event_id, kind, subject, inverse) VALUES (%s, 'invite', %s, '{}')",
        (event_id, Jsonb({"email": email})),
    )
    return invitation_id


# ---------------------------------------------------------------- biometrics


def test_biometrics_older_than_the_retention_go_and_younger_ones_stay(callback: Callback) -> None:
    event_id = event(callback.connection)
    old = [aged_face(callback.connection, event_id, OLD) for _ in range(2)]
    young = aged_face(callback.connection, event_id, YOUNG)
    for face_id in (*old, young):
        callback.objects.put("derived", f"events/{face_id}.jpg", b"x")
    assert callback.sweep().tick().erased == 2
    by_id = {row["id"]: row for row in rows(callback.connection, "faces")}
    assert len(by_id) == 3, "the faces stay, as counts"
    for face_id in old:
        assert by_id[face_id]["embedding"] is by_id[face_id]["landmarks"] is by_id[face_id]["thumbnail_object"] is None
    assert by_id[young]["embedding"] is not None
    assert callback.objects.names("derived") == [f"events/{young}.jpg"]


def test_the_retention_is_a_setting(callback: Callback) -> None:
    event_id = event(callback.connection)
    aged_face(callback.connection, event_id, 3 * A_DAY)
    assert callback.sweep().tick() == NOTHING
    assert callback.sweep(retention_days=2).tick().erased == 1


def test_a_receipt_says_how_much_and_is_complete_once_the_thumbnails_are_gone(callback: Callback) -> None:
    event_id = event(callback.connection)
    aged_face(callback.connection, event_id, OLD)
    callback.objects.away = True
    callback.sweep().tick()
    (receipt,) = rows(callback.connection, "purge_receipts")
    assert (receipt["reason"], receipt["erased"]["embeddings"]) == ("retention", 1)
    assert receipt["completed_at"] is None
    callback.objects.away = False
    callback.sweep().tick()
    assert rows(callback.connection, "purge_receipts")[0]["completed_at"] is not None


def test_a_receipt_whose_last_deletions_were_done_at_once_is_completed_by_the_tick(callback: Callback) -> None:
    event_id = event(callback.connection)
    callback.connection.execute(
        "INSERT INTO purge_receipts (event_id, erased) VALUES (%s, '{\"faces\": 1}')", (event_id,)
    )
    callback.sweep().tick()
    assert rows(callback.connection, "purge_receipts")[0]["completed_at"] is not None


def test_many_events_are_all_reached_and_a_second_tick_finds_nothing(callback: Callback) -> None:
    for _ in range(3):
        event_id = event(callback.connection)
        aged_face(callback.connection, event_id, OLD)
        aged_face(callback.connection, event_id, OLD)
    assert callback.sweep().tick().erased == 6
    assert callback.sweep().tick() == NOTHING
    assert len(rows(callback.connection, "purge_receipts")) == 3


def test_a_person_keeps_faces_cover_and_place_when_their_embeddings_are_gone(callback: Callback) -> None:
    event_id = event(callback.connection)
    person_id = person(callback.connection, event_id)
    face_id = aged_face(callback.connection, event_id, OLD, person_id=person_id)
    callback.connection.execute("UPDATE face_persons SET representative_face_id = %s", (face_id,))
    callback.sweep().tick()
    (kept,) = rows(callback.connection, "face_persons")
    assert (kept["id"], kept["representative_face_id"]) == (person_id, face_id)


# ---------------------------------------------------------------- addresses


def test_addresses_go_thirty_days_after_the_answer_or_the_expiry(callback: Callback) -> None:
    month = timedelta(days=30)
    gone = [
        invitation(callback.connection, answered=-month - A_DAY, expires=A_DAY, email="answered@example.org"),
        invitation(callback.connection, answered=None, expires=-month - A_DAY, email="expired@example.org"),
    ]
    kept = [
        invitation(callback.connection, answered=-month + A_DAY, expires=-month - A_DAY, email="late@example.org"),
        invitation(callback.connection, answered=None, expires=A_DAY, email="open@example.org"),
    ]
    assert callback.sweep().tick().erased == 2
    by_id = {row["id"]: row for row in rows(callback.connection, "invitations")}
    assert [(by_id[id_]["email"], by_id[id_]["message"]) for id_ in gone] == [(None, None)] * 2
    assert [by_id[id_]["email"] for id_ in kept] == ["late@example.org", "open@example.org"]
    everything = str(rows(callback.connection, "face_persons")) + str(rows(callback.connection, "decisions"))
    assert "answered@example.org" not in everything
    assert "expired@example.org" not in everything
    assert everything.count("open@example.org") == 2
    assert (
        sorted(row["status"] for row in rows(callback.connection, "face_persons")) == ["invited"] * 2 + ["pending"] * 2
    )
    assert callback.sweep().tick() == NOTHING


def test_an_address_that_was_written_to_again_stays_with_the_newer_invitation(callback: Callback) -> None:
    old = invitation(callback.connection, answered=None, expires=timedelta(days=-31), email="again@example.org")
    callback.connection.execute(
        """
        INSERT INTO invitations (event_id, face_person_id, token_hash, email, expires_at)
        SELECT event_id, face_person_id, sha256('new'), email, now() + interval '1 day' FROM invitations
        """
    )
    callback.sweep().tick()
    (invited,) = rows(callback.connection, "face_persons")
    assert invited["invitation_email"] == "again@example.org"
    assert {row["id"]: row["email"] for row in rows(callback.connection, "invitations")}[old] is None


# ---------------------------------------------------------------- what tells of it


def test_kept_answers_go_after_a_day(callback: Callback) -> None:
    for key, age in (("old", timedelta(hours=25)), ("young", timedelta(hours=23))):
        callback.connection.execute(
            "INSERT INTO idempotency_keys (caller, key, fingerprint, created_at) "
            "VALUES ('x', %s, sha256('x'), now() - %s)",
            (key, age),
        )
    assert callback.sweep().tick().erased == 1
    assert [row["key"] for row in rows(callback.connection, "idempotency_keys")] == ["young"]


def test_dead_letters_and_refused_uploads_go_with_the_retention(callback: Callback) -> None:
    for age in (OLD, YOUNG):
        callback.connection.execute(
            "INSERT INTO dead_letters (topic, message_id, data, attributes, error, received_at) "
            "VALUES ('media-uploads', %s, '', '{}', 'x', now() - %s)",
            (str(age), age),
        )
        callback.connection.execute(
            "INSERT INTO ml_jobs (job_type, status, error_code, error, result, completed_at) "
            "VALUES ('detect', 'failed', 'unknown_event', 'x', '{\"object\": \"ada.jpg\"}', now() - %s)",
            (age,),
        )
    assert callback.sweep().tick().erased == 2
    assert [row["message_id"] for row in rows(callback.connection, "dead_letters")] == [str(YOUNG)]
    assert len(rows(callback.connection, "ml_jobs")) == 1


def test_that_a_photo_was_deleted_is_known_as_long_as_its_letters_may_be_replayed(callback: Callback) -> None:
    for age, generation in ((OLD, 1), (YOUNG, 2)):
        callback.connection.execute(
            "INSERT INTO deleted_photos (media_id, event_id, generation, deleted_at, settled_at) "
            "VALUES (gen_random_uuid(), gen_random_uuid(), %s, now() - %s, now())",
            (generation, age),
        )
    assert callback.sweep().tick().erased == 1
    assert [row["generation"] for row in rows(callback.connection, "deleted_photos")] == [2]


def test_the_audit_of_reads_goes_with_the_retention(callback: Callback) -> None:
    event_id = event(callback.connection)
    for days in (366, 364):
        callback.connection.execute(
            "INSERT INTO biometric_reads (day, actor, event_id, what, subject_id) "
            "VALUES (current_date - %s::integer, 'x', %s, 'face', gen_random_uuid())",
            (days, event_id),
        )
    assert callback.sweep().tick().erased == 1
    assert len(rows(callback.connection, "biometric_reads")) == 1


def test_the_consent_log_outlives_a_deleted_event_by_the_retention(callback: Callback) -> None:
    kept, gone = event(callback.connection), event(callback.connection)
    callback.connection.execute("UPDATE event_consents SET at = now() - %s", (OLD,))
    callback.connection.execute("DELETE FROM events WHERE id = %s", (gone,))
    callback.sweep().tick()
    assert [row["event_id"] for row in rows(callback.connection, "event_consents")] == [kept]
