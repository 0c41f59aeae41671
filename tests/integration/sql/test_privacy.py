"""What SQL erases: all of one person and nothing of another, with a receipt; biometrics with the event's consent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from shared.database import Connection, Database
from tests.arrange import event, face, member, person, photo, rows, snapshot

ADDRESS = "Ada.Purged@example.org"
COUNTED = (
    "faces",
    "embeddings",
    "persons",
    "tags",
    "invitations",
    "thumbnails",
    "decisions",
    "suggestions",
    "accounts",
)
NOTHING = dict.fromkeys(COUNTED, 0)


@dataclass
class Party:
    """An event with two linked people and somebody unknown, as people and a clustering leave it."""

    connection: Connection
    event_id: UUID
    organiser: UUID
    ada: UUID
    ada_person: UUID
    ada_merged: UUID
    ada_faces: list[UUID]
    bob: UUID
    bob_person: UUID
    bob_faces: list[UUID]
    unknown: UUID
    photos: list[UUID]

    def purge(self, user_id: UUID | None = None) -> dict[str, Any]:
        """Purge a user, Ada if not said otherwise; returns the receipt."""
        statement = "SELECT purge_face_data_for_user(%s, %s)"
        receipt: dict[str, Any] = one(self.connection, statement, (user_id or self.ada, self.event_id))
        return receipt


def one(connection: Connection, statement: Any, values: Any = ()) -> Any:
    """The only column of the only row."""
    row = connection.execute(statement, values).fetchone()
    assert row is not None
    return next(iter(row.values()))


def thumbnail(connection: Connection, face_id: UUID) -> None:
    connection.execute(
        "UPDATE faces SET thumbnail_object = format('events/%%s/%%s/%%s.jpg', event_id, media_id, id) WHERE id = %s",
        (face_id,),
    )


def tag(connection: Connection, face_id: UUID, user_id: UUID, by: UUID, source: str = "face_clustering") -> None:
    connection.execute(
        """
        INSERT INTO media_tags (media_id, tagged_user_id, tagged_by_user_id, source, bbox, face_id)
        SELECT media_id, %s, %s, %s, bbox, id FROM faces WHERE id = %s
        """,
        (user_id, by, source, face_id),
    )


def invitation(connection: Connection, person_id: UUID, email: str, answer: str | None = None) -> UUID:
    invitation_id = uuid4()
    connection.execute(
        """
        INSERT INTO invitations (id, event_id, face_person_id, token_hash, email, expires_at, answer, answered_at,
            message)
        SELECT %(id)s, event_id, id, sha256(%(id)s::text::bytea), %(email)s, now() + interval '14 days', %(answer)s,
            CASE WHEN %(answer)s::text IS NOT NULL THEN now() END, 'Salut Ada'
        FROM face_persons WHERE id = %(person)s
        """,
        {"id": invitation_id, "email": email, "answer": answer, "person": person_id},
    )
    return invitation_id


def decision(connection: Connection, party_event: UUID, kind: str, subject: Any, inverse: Any, **columns: Any) -> UUID:
    made: UUID = one(
        connection,
        """
        INSERT INTO decisions (event_id, actor_id, kind, subject, inverse, version, person_ids, face_ids, user_ids)
        VALUES (%s, %s, %s, %s, %s,
            (SELECT coalesce(max(version), 0) + 1 FROM decisions WHERE event_id = %s), %s, %s, %s) RETURNING id
        """,
        (
            party_event,
            columns.get("actor"),
            kind,
            Jsonb(subject),
            Jsonb(inverse),
            party_event,
            columns.get("persons", []),
            columns.get("faces", []),
            columns.get("users", []),
        ),
    )
    return made


@pytest.fixture
def party(connection: Connection) -> Party:
    """Ada is linked, one person was merged into hers; Bob is linked; two photos show both."""
    event_id = event(connection)
    organiser, ada, bob = (member(connection, event_id, role) for role in ("owner", "member", "member"))
    connection.execute("UPDATE users SET email = %s, display_name = 'Ada Purged' WHERE id = %s", (ADDRESS, ada))
    photos = [photo(connection, event_id) for _ in range(3)]
    ada_person = person(connection, event_id, status="linked", linked_user_id=ada, edits=1)
    ada_merged = person(connection, event_id, status="merged", merged_into_id=ada_person)
    bob_person = person(connection, event_id, status="linked", linked_user_id=bob, edits=1)
    unknown = person(connection, event_id)
    ada_faces = [face(connection, event_id, media_id, person_id=ada_person) for media_id in photos[:2]]
    bob_faces = [face(connection, event_id, media_id, person_id=bob_person) for media_id in photos[:2]]
    face(connection, event_id, photos[2], person_id=unknown)
    for owner, faces in ((ada, ada_faces), (bob, bob_faces)):
        for face_id in faces:
            thumbnail(connection, face_id)
            tag(connection, face_id, owner, organiser)
    connection.execute("UPDATE face_persons SET metadata = metadata || '{\"face_count\": 2}' WHERE status = 'linked'")
    connection.execute("UPDATE face_persons SET representative_face_id = %s WHERE id = %s", (bob_faces[0], bob_person))
    return Party(
        connection,
        event_id,
        organiser,
        ada,
        ada_person,
        ada_merged,
        ada_faces,
        bob,
        bob_person,
        bob_faces,
        unknown,
        photos,
    )


def everything_but(connection: Connection, *tables: str) -> str:
    """All that every table holds, as text."""
    named = connection.execute(
        "SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace "
        "WHERE relkind IN ('r', 'p', 'm') AND nspname = 'trombi' ORDER BY relname"
    ).fetchall()
    found = []
    for row in named:
        if row["relname"] not in tables:
            statement = sql.SQL("SELECT {table}::text AS content FROM {table}")
            contents = connection.execute(statement.format(table=sql.Identifier(row["relname"]))).fetchall()
            found += [f"{row['relname']}: {content['content']}" for content in contents]
    return "\n".join(found)


def wait_for_a_waiting_lock(connection: Connection) -> None:
    """Return once some transaction of this database waits for another one's row."""
    connection.execute(
        """
        DO $$
        DECLARE given_up timestamptz := clock_timestamp() + interval '20 seconds';
        BEGIN
            WHILE NOT EXISTS (
                SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
            ) LOOP
                ASSERT clock_timestamp() < given_up, 'nobody waits';
                PERFORM pg_sleep(0.01), pg_stat_clear_snapshot();
            END LOOP;
        END $$
        """
    )


# ---------------------------------------------------------------- purge


def test_a_purge_leaves_no_face_person_or_tag_of_the_user_and_says_how_many(party: Party) -> None:
    receipt = party.purge()
    assert receipt["erased"] == {**NOTHING, "faces": 2, "embeddings": 2, "persons": 2, "tags": 2, "thumbnails": 2}
    assert {row["id"] for row in rows(party.connection, "face_persons")} == {party.bob_person, party.unknown}
    assert not {row["id"] for row in rows(party.connection, "faces")} & set(party.ada_faces)
    assert {row["tagged_user_id"] for row in rows(party.connection, "media_tags")} == {party.bob}


def test_the_others_keep_their_faces_tags_covers_and_counts(party: Party) -> None:
    party.purge()
    assert one(party.connection, "SELECT count(*) FROM faces WHERE face_person_id = %s", (party.bob_person,)) == 2
    row = party.connection.execute("SELECT * FROM face_persons WHERE id = %s", (party.bob_person,)).fetchone()
    assert row is not None
    assert (row["representative_face_id"], row["metadata"]["face_count"]) == (party.bob_faces[0], 2)
    assert one(party.connection, "SELECT count(*) FROM faces") == 3


def test_what_is_found_a_second_time_is_nothing_and_that_is_no_error(party: Party) -> None:
    party.purge()
    before = snapshot(party.connection)
    receipt = party.purge()
    assert receipt["erased"] == NOTHING
    assert receipt["completed_at"] is not None
    assert snapshot(party.connection) == before
    assert len(rows(party.connection, "purge_receipts")) == 2


def test_an_unknown_event_gives_an_empty_receipt_too(party: Party) -> None:
    receipt = one(party.connection, "SELECT purge_face_data_for_user(%s, %s)", (party.ada, uuid4()))
    assert receipt["erased"] == NOTHING
    assert rows(party.connection, "purge_receipts") == []


def test_purged_faces_leave_their_places_and_nothing_else(party: Party) -> None:
    boxes = {row["media_id"]: row["bbox"] for row in rows(party.connection, "faces") if row["id"] in party.ada_faces}
    party.purge()
    assert {row["media_id"]: row["bbox"] for row in rows(party.connection, "face_tombstones")} == boxes


def test_thumbnails_are_asked_to_be_deleted_from_the_derived_bucket(party: Party) -> None:
    receipt = party.purge()
    entries = rows(party.connection, "outbox")
    assert {entry["object_prefix"].rsplit("/")[-1] for entry in entries} == {f"{id_}.jpg" for id_ in party.ada_faces}
    assert {(entry["kind"], entry["bucket"], str(entry["receipt_id"])) for entry in entries} == {
        ("delete_objects", None, receipt["id"])
    }
    assert receipt["completed_at"] is None


def test_the_event_is_to_be_clustered_again(party: Party) -> None:
    before = one(party.connection, "SELECT decision_version FROM event_counters")
    party.purge()
    (counters,) = rows(party.connection, "event_counters")
    assert (counters["changed_photos"], counters["decision_version"]) == (2, before + 1)
    assert counters["first_change_at"] is not None


def test_an_event_that_no_longer_consents_is_not_to_be_clustered(party: Party) -> None:
    party.connection.execute("UPDATE events SET archived_at = now()")
    assert party.purge()["erased"]["faces"] == 2
    assert rows(party.connection, "event_counters")[0]["changed_photos"] == 0


def test_invitations_of_the_person_and_to_the_address_go_with_the_address(party: Party) -> None:
    asked = person(party.connection, party.event_id, status="invited")
    party.connection.execute("UPDATE face_persons SET invitation_email = lower(%s) WHERE id = %s", (ADDRESS, asked))
    invited_face = face(party.connection, party.event_id, party.photos[2], person_id=asked)
    invitation(party.connection, asked, ADDRESS.upper())
    invitation(party.connection, party.unknown, ADDRESS, "declined")
    others = invitation(party.connection, party.unknown, "somebody@example.org")
    receipt = party.purge()
    assert (receipt["erased"]["invitations"], receipt["erased"]["persons"], receipt["erased"]["faces"]) == (2, 3, 3)
    assert [row["id"] for row in rows(party.connection, "invitations")] == [others]
    assert party.unknown in {row["id"] for row in rows(party.connection, "face_persons")}, "they said: not me"
    assert invited_face not in {row["id"] for row in rows(party.connection, "faces")}


def test_every_tag_of_the_user_goes_also_one_made_by_hand_and_the_face_it_names(party: Party) -> None:
    loose = face(party.connection, party.event_id, party.photos[2])
    tag(party.connection, loose, party.ada, party.organiser, "manual")
    receipt = party.purge()
    assert (receipt["erased"]["tags"], receipt["erased"]["faces"]) == (3, 3)
    assert loose not in {row["id"] for row in rows(party.connection, "faces")}


def test_a_face_that_is_held_by_another_stays_theirs_whatever_a_tag_says(party: Party) -> None:
    connection = party.connection
    connection.execute("DELETE FROM media_tags WHERE tagged_user_id = %s", (party.ada,))
    tag(connection, party.bob_faces[0], party.ada, party.organiser, "manual")
    receipt = party.purge()
    assert (receipt["erased"]["tags"], receipt["erased"]["faces"]) == (1, 2)
    assert party.bob_faces[0] in {row["id"] for row in rows(connection, "faces")}


def test_the_user_s_tags_in_other_events_stay(party: Party) -> None:
    elsewhere = event(party.connection)
    theirs = person(party.connection, elsewhere, status="linked", linked_user_id=party.ada)
    kept = face(party.connection, elsewhere, photo(party.connection, elsewhere), person_id=theirs)
    tag(party.connection, kept, party.ada, party.organiser)
    party.purge()
    assert one(party.connection, "SELECT count(*) FROM media_tags WHERE tagged_user_id = %s", (party.ada,)) == 1
    assert kept in {row["id"] for row in rows(party.connection, "faces")}


def test_decisions_keep_their_place_and_lose_whom_they_were_about(party: Party) -> None:
    connection, event_id = party.connection, party.event_id
    about_ada = decision(
        connection,
        event_id,
        "link",
        {"user_id": str(party.ada), "name": "Ada Purged"},
        {"changes": [{"table": "face_persons", "key": str(party.ada_person), "before": {"linked_user_id": None}}]},
        actor=party.organiser,
        persons=[party.ada_person, party.bob_person],
        faces=party.ada_faces,
        users=[party.ada],
    )
    declined = decision(
        connection, event_id, "invite", {"email": ADDRESS.lower()}, {"changes": []}, persons=[party.unknown]
    )
    only_an_image = decision(
        connection,
        event_id,
        "reject",
        {},
        {"changes": [{"table": "media_tags", "before": {"tagged_user_id": str(party.ada)}}]},
    )
    about_bob = decision(
        connection,
        event_id,
        "link",
        {"user_id": str(party.bob)},
        {"changes": [{"table": "media_tags", "before": {"tagged_by_user_id": str(party.ada)}}]},
        persons=[party.bob_person],
    )
    receipt = party.purge()
    assert receipt["erased"]["decisions"] == 3
    by_id = {row["id"]: row for row in rows(connection, "decisions")}
    assert by_id[about_ada]["inverse"] is None
    assert by_id[about_ada]["subject"] == {"erased": True, "persons": 2, "faces": 2}
    assert (by_id[about_ada]["kind"], by_id[about_ada]["actor_id"]) == ("link", party.organiser)
    assert by_id[about_ada]["person_ids"] == [party.bob_person]
    assert (by_id[about_ada]["face_ids"], by_id[about_ada]["user_ids"]) == ([], [])
    assert by_id[declined]["inverse"] is by_id[only_an_image]["inverse"] is None
    assert by_id[about_bob]["inverse"] is not None, "what they decided on others stays to be undone"


def test_answers_that_are_kept_for_a_repeated_request_do_not_name_them(party: Party) -> None:
    for key, answer in (
        ("ada", {"person": {"id": str(party.ada_person)}}),
        ("bob", {"person": {"id": str(party.bob_person)}}),
    ):
        party.connection.execute(
            "INSERT INTO idempotency_keys (caller, key, fingerprint, event_id, status, answer) "
            "VALUES ('x', %s, sha256('x'), %s, 200, %s)",
            (key, party.event_id, Jsonb(answer)),
        )
    party.purge()
    assert [row["key"] for row in rows(party.connection, "idempotency_keys")] == ["bob"]


def test_that_somebody_read_stays_and_of_whom_does_not(party: Party) -> None:
    for face_id in (*party.ada_faces, party.bob_faces[0]):
        party.connection.execute(
            "SELECT trombi_note_reads('someone', %s, 'thumbnail', ARRAY[%s, %s])", (party.event_id, face_id, face_id)
        )
    party.purge()
    assert {row["subject_id"]: row["reads"] for row in rows(party.connection, "biometric_reads")} == {
        UUID(int=0): 2,
        party.bob_faces[0]: 1,
    }


def test_no_column_of_any_table_holds_what_was_purged(party: Party) -> None:
    connection = party.connection
    asked = invitation(connection, party.ada_person, ADDRESS, "accepted")
    connection.execute("INSERT INTO face_suggestions VALUES (%s, %s, 0.9)", (party.bob_faces[0], party.ada_person))
    connection.execute("INSERT INTO face_rejections VALUES (%s, %s)", (party.ada_faces[0], party.bob_person))
    connection.execute(
        "INSERT INTO merge_suggestions VALUES (least(%(a)s, %(b)s), greatest(%(a)s, %(b)s), 0.9)",
        {"a": party.ada_person, "b": party.unknown},
    )
    decision(
        connection,
        party.event_id,
        "accept",
        {"invitation_id": str(asked), "email": ADDRESS},
        {},
        actor=party.ada,
        persons=[party.ada_person],
        users=[party.ada],
    )
    # Embeddings that no other face has by chance.
    for number, face_id in enumerate(party.ada_faces):
        unique = [0.0] * 512
        unique[number], unique[511] = 0.6, 0.8
        connection.execute("UPDATE faces SET embedding = %s::vector WHERE id = %s", (str(unique), face_id))
    vectors = connection.execute(
        "SELECT embedding::text AS e FROM faces WHERE id = ANY(%s)", (party.ada_faces,)
    ).fetchall()
    ids = [str(id_) for id_ in (*party.ada_faces, party.ada_person, party.ada_merged, asked)]
    looked_for = [*ids, ADDRESS, "Salut Ada", *(row["e"] for row in vectors)]
    before = everything_but(connection).lower()
    assert all(text.lower() in before for text in looked_for), "else the search below proves nothing"
    receipt = party.purge()
    assert receipt["erased"]["suggestions"] == 2
    connection.execute("DELETE FROM outbox WHERE kind = 'delete_objects'")  # done, as the outbox forgets it
    after = everything_but(connection, "users").lower()
    assert [text for text in looked_for if text.lower() in after] == []
    assert str(party.ada) not in everything_but(connection, "users", "event_members")


def test_a_person_without_an_account_is_purged_by_their_person(party: Party) -> None:
    receipt = one(party.connection, "SELECT purge_face_data_for_person(%s)", (party.unknown,))
    assert (receipt["erased"]["persons"], receipt["erased"]["faces"], receipt["erased"]["tags"]) == (1, 1, 0)
    assert len(rows(party.connection, "face_tombstones")) == 1


def test_a_person_that_was_merged_is_the_one_it_was_merged_into_and_its_user(party: Party) -> None:
    receipt = one(party.connection, "SELECT purge_face_data_for_person(%s)", (party.ada_merged,))
    assert receipt["erased"] == {**NOTHING, "faces": 2, "embeddings": 2, "persons": 2, "tags": 2, "thumbnails": 2}


def test_a_person_that_is_unknown_gives_nothing(party: Party) -> None:
    assert one(party.connection, "SELECT purge_face_data_for_person(%s)", (uuid4(),)) is None


def test_an_invited_guest_without_an_account_is_purged_by_their_address(party: Party) -> None:
    party.connection.execute(
        "UPDATE face_persons SET status = 'invited', invitation_email = 'guest@example.org' WHERE id = %s",
        (party.unknown,),
    )
    invitation(party.connection, party.unknown, "guest@example.org")
    receipt = one(party.connection, "SELECT purge_face_data_for_address(' Guest@example.org ', %s)", (party.event_id,))
    assert {kind: n for kind, n in receipt["erased"].items() if n} == {
        "faces": 1, "embeddings": 1, "persons": 1, "invitations": 1
    }  # fmt: skip
    assert "guest@example.org" not in everything_but(party.connection)


def test_an_address_that_is_an_account_s_purges_that_user(party: Party) -> None:
    receipt = one(party.connection, "SELECT purge_face_data_for_address(%s, %s)", (ADDRESS.lower(), party.event_id))
    assert (receipt["erased"]["faces"], receipt["erased"]["tags"]) == (2, 2)


def test_an_account_that_an_invitation_made_goes_with_the_last_event_that_knows_it(party: Party) -> None:
    connection, elsewhere = party.connection, event(party.connection)
    connection.execute("UPDATE users SET made_by_invitation = true WHERE id = %s", (party.ada,))
    connection.execute("INSERT INTO event_members VALUES (%s, %s, 'member')", (elsewhere, party.ada))
    assert party.purge()["erased"]["accounts"] == 0
    memberships = connection.execute("SELECT event_id FROM event_members WHERE user_id = %s", (party.ada,)).fetchall()
    assert memberships == [{"event_id": elsewhere}]
    receipt = one(connection, "SELECT purge_face_data_for_user(%s, %s)", (party.ada, elsewhere))
    assert receipt["erased"]["accounts"] == 1
    assert ADDRESS.lower() not in everything_but(connection).lower()


def test_an_account_of_the_host_app_s_stays(party: Party) -> None:
    party.purge()
    assert one(party.connection, "SELECT email FROM users WHERE id = %s", (party.ada,)) == ADDRESS
    assert one(party.connection, "SELECT count(*) FROM event_members WHERE user_id = %s", (party.ada,)) == 1


def test_an_empty_address_purges_nobody(party: Party) -> None:
    before = snapshot(party.connection)
    party.connection.execute("SELECT purge_face_data_for_address('  ', %s)", (party.event_id,))
    assert snapshot(party.connection) == before


# ---------------------------------------------------------------- who may


@contextmanager
def reviewing(database: Database, user_id: UUID | None, role: str = "trombi_reviewer") -> Iterator[Connection]:
    """A transaction with a user's rights, as admin opens it."""
    claims = "" if user_id is None else f'{{"sub": "{user_id}"}}'
    with database.transaction() as connection:
        connection.execute(
            "SELECT set_config('role', %s, true), set_config('request.jwt.claims', %s, true)", (role, claims)
        )
        yield connection


CALLS = {
    "user": "SELECT purge_face_data_for_user(%(ada)s, %(event)s)",
    "person": "SELECT purge_face_data_for_person(%(person)s)",
    "address": "SELECT purge_face_data_for_address('ada.purged@example.org', %(event)s)",
    "consent": "SELECT trombi_set_consent(%(event)s, false, NULL)",
    "archive": "SELECT trombi_archive(%(event)s)",
    "export": "SELECT trombi_export(%(ada)s, %(event)s, true)",
}
SELF = {"user", "person", "export"}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("who", ["ada", "organiser", "bob", "stranger", "nobody"])
def test_the_database_itself_lets_only_the_user_and_the_organisers(
    party: Party, database: Database, call: str, who: str
) -> None:
    callers = {"ada": party.ada, "organiser": party.organiser, "bob": party.bob, "stranger": uuid4(), "nobody": None}
    values = {"ada": party.ada, "event": party.event_id, "person": party.ada_person}
    may = who == "organiser" or (who == "ada" and call in SELF)
    before = snapshot(party.connection)
    if may:
        with reviewing(database, callers[who]) as connection:
            assert one(connection, CALLS[call], values) is not None
    else:
        with pytest.raises(psycopg.errors.InsufficientPrivilege), reviewing(database, callers[who]) as connection:
            connection.execute(CALLS[call], values)
        assert snapshot(party.connection) == before


def test_a_host_app_s_users_cannot_call_what_erases(party: Party, database: Database) -> None:
    for statement in (*CALLS.values(), "SELECT trombi_erase(%(event)s, %(ada)s, NULL, '{}')"):
        values = {"ada": party.ada, "event": party.event_id, "person": party.ada_person}
        with (
            pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for function"),
            reviewing(database, party.organiser, "authenticated") as connection,
        ):
            connection.execute(statement, values)


def test_nobody_notes_a_read_as_another(party: Party, database: Database) -> None:
    with reviewing(database, party.bob) as connection:
        connection.execute(
            "SELECT trombi_note_reads(%s, %s, 'thumbnail', ARRAY[%s])",
            (str(party.ada), party.event_id, party.bob_faces[0]),
        )
    assert rows(party.connection, "biometric_reads") == []


# ---------------------------------------------------------------- archive, consent, deletion

BIOMETRIC = ("embedding", "landmarks", "sharpness", "yaw", "pitch", "roll", "thumbnail_object")
ENDINGS = {
    "archive": "UPDATE events SET archived_at = now()",
    "consent": "UPDATE events SET face_recognition_enabled = false",
}


@pytest.mark.parametrize("reason", ENDINGS)
def test_biometrics_go_with_the_event_s_consent_and_what_people_said_stays(party: Party, reason: str) -> None:
    connection = party.connection
    connection.execute("INSERT INTO face_suggestions VALUES (%s, %s, 0.9)", (party.bob_faces[0], party.unknown))
    connection.execute("INSERT INTO split_suggestions VALUES (%s, %s, 0.5)", (party.bob_person, party.bob_faces[0]))
    connection.execute(ENDINGS[reason])
    for row in rows(connection, "faces"):
        assert [row[name] for name in BIOMETRIC] == [None] * len(BIOMETRIC)
    assert len(rows(connection, "faces")) == 5
    assert len(rows(connection, "face_persons")) == 4
    assert len(rows(connection, "media_tags")) == 4
    assert rows(connection, "face_suggestions") == rows(connection, "split_suggestions") == []
    (receipt,) = rows(connection, "purge_receipts")
    assert receipt["reason"] == reason
    assert receipt["erased"] == {
        "faces": 5, "embeddings": 5, "thumbnails": 4, "suggestions": 1, "invitations": 0, "decisions": 0
    }  # fmt: skip
    (entry,) = rows(connection, "outbox")
    assert (entry["kind"], entry["bucket"], entry["object_prefix"]) == (
        "delete_objects", None, f"events/{party.event_id}/"
    )  # fmt: skip


def test_archiving_withdraws_open_invitations_and_forgets_every_address(party: Party) -> None:
    connection = party.connection
    connection.execute(
        "UPDATE face_persons SET status = 'invited', invitation_email = 'guest@example.org' WHERE id = %s",
        (party.unknown,),
    )
    invitation(connection, party.unknown, "guest@example.org")
    answered = invitation(connection, party.bob_person, "bob@example.org", "accepted")
    decision(connection, party.event_id, "invite", {}, {"after": {"email": "Guest@Example.org"}})
    connection.execute(ENDINGS["archive"])
    (kept,) = rows(connection, "invitations")
    assert (kept["id"], kept["email"], kept["message"], kept["answer"]) == (answered, None, None, "accepted")
    assert one(connection, "SELECT status FROM face_persons WHERE id = %s", (party.unknown,)) == "pending"
    left = everything_but(connection)
    assert "guest@example.org" not in left.lower()
    assert "bob@example.org" not in left.lower()


def test_an_event_that_is_archived_has_nothing_more_to_cluster(party: Party) -> None:
    party.connection.execute("UPDATE event_counters SET changed_photos = 3, first_change_at = now()")
    party.connection.execute(ENDINGS["archive"])
    (counters,) = rows(party.connection, "event_counters")
    assert (counters["changed_photos"], counters["first_change_at"]) == (0, None)


def test_only_the_change_erases(party: Party) -> None:
    party.connection.execute(ENDINGS["archive"])
    party.connection.execute("UPDATE events SET archived_at = now() + interval '1 hour', name = 'another'")
    assert len(rows(party.connection, "purge_receipts")) == 1


def test_another_event_keeps_its_biometrics(party: Party) -> None:
    elsewhere = event(party.connection)
    kept = face(party.connection, elsewhere, photo(party.connection, elsewhere))
    party.connection.execute("UPDATE events SET archived_at = now() WHERE id = %s", (party.event_id,))
    assert one(party.connection, "SELECT embedding IS NOT NULL FROM faces WHERE id = %s", (kept,))


def test_who_writes_faces_holds_the_archive_up_and_what_was_written_is_erased(party: Party, database: Database) -> None:
    """Detection and clustering hold the event's row FOR SHARE: the trigger sees what they wrote."""
    archived = threading.Event()

    def archive() -> None:
        with database.transaction() as connection:
            connection.execute("UPDATE events SET archived_at = now()")
        archived.set()

    with database.transaction() as writing:
        writing.execute("SELECT FROM events WHERE id = %s FOR SHARE", (party.event_id,))
        thread = threading.Thread(target=archive)
        thread.start()
        wait_for_a_waiting_lock(party.connection)
        assert not archived.is_set()
        face(writing, party.event_id, party.photos[0])
    thread.join()
    assert one(party.connection, "SELECT count(embedding) FROM faces") == 0
    assert one(party.connection, "SELECT count(*) FROM faces") == 6


def test_deleting_an_event_leaves_receipts_and_no_thumbnail(party: Party) -> None:
    connection = party.connection
    connection.execute("SELECT trombi_note_reads('someone', %s, 'face', %s)", (party.event_id, party.ada_faces))
    connection.execute("DELETE FROM events WHERE id = %s", (party.event_id,))
    (receipt,) = rows(connection, "purge_receipts")
    assert (receipt["reason"], receipt["erased"]["embeddings"], receipt["completed_at"]) == ("event_deleted", 5, None)
    (entry,) = rows(connection, "outbox")
    assert (entry["bucket"], entry["object_prefix"]) == (None, f"events/{party.event_id}/")
    left = everything_but(connection, "users", "outbox")
    assert not [id_ for id_ in (*party.ada_faces, party.ada_person, *party.photos) if str(id_) in left]


# ---------------------------------------------------------------- the consent log


def test_every_switch_of_consent_is_logged_whoever_makes_it(party: Party, database: Database) -> None:
    with reviewing(database, party.organiser) as connection:
        assert one(connection, "SELECT trombi_set_consent(%s, true, '2')", (party.event_id,))
        assert not one(connection, "SELECT trombi_set_consent(%s, true, '2')", (party.event_id,))
        assert one(connection, "SELECT trombi_set_consent(%s, false, NULL)", (party.event_id,))
    party.connection.execute("UPDATE events SET name = 'another'")
    log = party.connection.execute("SELECT * FROM event_consents ORDER BY at").fetchall()
    assert [(row["enabled"], row["text_version"], row["actor_id"]) for row in log] == [
        (True, "1", None),
        (True, "2", party.organiser),
        (False, "2", party.organiser),
    ]


# ---------------------------------------------------------------- locks


def test_a_purge_waits_for_a_clustering_that_is_written(party: Party, database: Database) -> None:
    purged = threading.Event()

    def purge() -> None:
        with database.transaction() as connection:
            connection.execute("SELECT purge_face_data_for_user(%s, %s)", (party.ada, party.event_id))
        purged.set()

    with database.transaction() as run:
        run.execute("SELECT FROM event_counters WHERE event_id = %s FOR NO KEY UPDATE", (party.event_id,))
        thread = threading.Thread(target=purge)
        thread.start()
        wait_for_a_waiting_lock(party.connection)
        assert not purged.is_set()
        run.execute("UPDATE faces SET face_person_id = %s WHERE face_person_id IS NULL", (party.ada_person,))
    thread.join()
    assert not {row["id"] for row in rows(party.connection, "faces")} & set(party.ada_faces)


_HASHES = ("face_persons.former_user_hash", "media.faces_picture_hash", "media.faces_crc32c")


def test_users_do_not_read_what_recognises_a_picture_or_a_former_user(connection: Connection) -> None:
    may = "SELECT has_column_privilege('authenticated', %s, %s, 'SELECT') AS may"
    for hashed in _HASHES:
        table, column = hashed.split(".")
        assert connection.execute(may, (f"trombi.{table}", column)).fetchone() == {"may": False}, hashed
        assert connection.execute(may, (f"trombi.{table}", "event_id")).fetchone() == {"may": True}
