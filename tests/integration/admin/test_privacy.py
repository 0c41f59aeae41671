"""Consent, archive, purge, receipts and export over HTTP: who may, what is said, and what is done."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.contracts import DetectRequested
from tests.arrange import BOX, detect_job, event, face, member, person, photo, rows, snapshot
from tests.integration.admin.conftest import AdminSite


@pytest.fixture
def ada(site: AdminSite) -> Ada:
    return Ada(site)


class Ada:
    """A member who is linked to a person of two faces and tagged, in an event with an organiser and another member."""

    def __init__(self, site: AdminSite) -> None:
        connection = site.connection
        self.site = site
        self.event_id = event(connection)
        self.organiser = member(connection, self.event_id, "owner")
        self.user_id = member(connection, self.event_id)
        self.other = member(connection, self.event_id)
        connection.execute("UPDATE users SET email = 'ada@example.org' WHERE id = %s", (self.user_id,))
        self.person_id = person(connection, self.event_id, status="linked", linked_user_id=self.user_id)
        self.photos = [photo(connection, self.event_id) for _ in range(2)]
        self.faces = [face(connection, self.event_id, media_id, person_id=self.person_id) for media_id in self.photos]
        for media_id, face_id in zip(self.photos, self.faces, strict=True):
            detect_job(connection, self.event_id, media_id, status="completed")
            name = f"events/{self.event_id}/{media_id}/{face_id}.jpg"
            connection.execute("UPDATE faces SET thumbnail_object = %s WHERE id = %s", (name, face_id))
            connection.execute(
                "INSERT INTO media_tags (media_id, tagged_user_id, source, face_id) "
                "VALUES (%s, %s, 'face_clustering', %s)",
                (media_id, self.user_id, face_id),
            )

    def purge(self, caller: UUID | None, key: str | None = None, **whom: Any) -> tuple[int, dict[str, Any]]:
        return self.site.ask("POST", "/privacy/purge", caller, key=key, **{"event_id": self.event_id, **whom})

    def export(self, caller: UUID | None, query: str = "") -> tuple[int, dict[str, Any]]:
        return self.site.ask("GET", f"/privacy/export{query}", caller)

    def consent(self, caller: UUID | None, **body: Any) -> tuple[int, dict[str, Any]]:
        return self.site.ask("PUT", f"/event/{self.event_id}/consent", caller, **body)


# ---------------------------------------------------------------- purge


@pytest.mark.parametrize("who", ["user_id", "organiser", None])
def test_the_user_an_organiser_and_the_host_app_may_purge(ada: Ada, who: str | None) -> None:
    status, receipt = ada.purge(None if who is None else getattr(ada, who), user_id=ada.user_id)
    assert status == 200
    assert (receipt["erased"]["faces"], receipt["erased"]["tags"], receipt["erased"]["persons"]) == (2, 2, 1)
    assert receipt["thumbnails"] == "being erased"
    assert rows(ada.site.connection, "faces") == rows(ada.site.connection, "media_tags") == []
    assert len(rows(ada.site.connection, "face_tombstones")) == 2


@pytest.mark.parametrize("whom", ["user_id", "person_id", "email"])
def test_another_member_and_a_stranger_may_not(ada: Ada, whom: str) -> None:
    values: dict[str, Any] = {"user_id": ada.user_id, "person_id": ada.person_id, "email": "ada@example.org"}
    named = {whom: values[whom]}
    before = snapshot(ada.site.connection)
    assert ada.purge(ada.other, **named)[0] in (403, 404)
    assert ada.purge(uuid4(), **named)[0] == 404
    organiser_elsewhere = member(ada.site.connection, event(ada.site.connection), "owner")
    assert ada.purge(organiser_elsewhere, **named)[0] == 404
    assert {table: held for table, held in snapshot(ada.site.connection).items() if table != "events"} == {
        table: held for table, held in before.items() if table != "events"
    }


def test_a_former_member_may_purge_themselves(ada: Ada) -> None:
    ada.site.connection.execute("DELETE FROM event_members WHERE user_id = %s", (ada.user_id,))
    status, receipt = ada.purge(ada.user_id, user_id=ada.user_id)
    assert (status, receipt["erased"]["faces"]) == (200, 2)


def test_a_member_may_purge_the_person_that_they_are(ada: Ada) -> None:
    status, receipt = ada.purge(ada.user_id, person_id=ada.person_id)
    assert (status, receipt["erased"]["faces"], receipt["erased"]["tags"]) == (200, 2, 2)


def test_a_guest_is_purged_by_their_address(ada: Ada) -> None:
    guest = person(ada.site.connection, ada.event_id, status="invited")
    ada.site.connection.execute(
        "UPDATE face_persons SET invitation_email = 'guest@example.org' WHERE id = %s", (guest,)
    )
    status, receipt = ada.purge(ada.organiser, email=" Guest@Example.org ")
    assert (status, receipt["erased"]["persons"]) == (200, 1)


def test_asking_twice_gives_an_empty_receipt(ada: Ada) -> None:
    ada.purge(ada.user_id, user_id=ada.user_id)
    ada.site.connection.execute("DELETE FROM event_members WHERE user_id = %s", (ada.user_id,))
    status, receipt = ada.purge(ada.user_id, user_id=ada.user_id)
    assert status == 200
    assert set(receipt["erased"].values()) == {0}
    assert receipt["thumbnails"] == "erased"


def test_an_event_that_is_not_there_looks_like_one_that_knows_nothing_of_the_caller(ada: Ada) -> None:
    stranger = uuid4()
    answers = [ada.purge(stranger, user_id=stranger), ada.purge(stranger, user_id=stranger, event_id=uuid4())]
    for status, receipt in answers:
        assert status == 200
        assert set(receipt["erased"].values()) == {0}
    assert {*answers[0][1]} == {*answers[1][1]}


def test_the_same_request_is_answered_with_the_same_receipt(ada: Ada) -> None:
    first = ada.purge(ada.organiser, "a key", user_id=ada.user_id)
    assert ada.purge(ada.organiser, "a key", user_id=ada.user_id) == first
    assert len(rows(ada.site.connection, "purge_receipts")) == 1


def test_the_kept_answer_of_an_earlier_request_goes_and_the_purge_s_own_stays(ada: Ada) -> None:
    status, _ = ada.site.ask(
        "POST", f"/person/{ada.person_id}/cover", ada.organiser, key="before", face_id=ada.faces[1]
    )
    assert status == 200
    ada.purge(ada.organiser, "purge", user_id=ada.user_id)
    assert [row["key"] for row in rows(ada.site.connection, "idempotency_keys")] == ["purge"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"user_id": str(uuid4()), "email": "ada@example.org"},
        {"email": "no address"},
        {"user_id": "ada"},
        {"user_id": str(uuid4()), "everything": True},
    ],
)
def test_exactly_one_person_is_named(ada: Ada, body: dict[str, Any]) -> None:
    assert ada.purge(ada.organiser, **body)[0] == 422


def test_a_person_of_another_event_than_named_is_not_found(ada: Ada) -> None:
    elsewhere = event(ada.site.connection)
    ada.site.connection.execute("INSERT INTO event_members VALUES (%s, %s, 'owner')", (elsewhere, ada.organiser))
    status, _ = ada.purge(ada.organiser, event_id=elsewhere, person_id=ada.person_id)
    assert status == 404
    assert len(rows(ada.site.connection, "faces")) == 2


def test_what_was_purged_cannot_be_undone_and_says_so(ada: Ada) -> None:
    _, decided = ada.site.ask("POST", f"/person/{ada.person_id}/cover", ada.organiser, face_id=ada.faces[1])
    ada.purge(ada.organiser, user_id=ada.user_id)
    status, problem = ada.site.ask("POST", f"/decisions/{decided['decision_id']}/undo", ada.organiser)
    assert (status, problem["code"]) == (409, "erased")
    status, history = ada.site.ask("GET", f"/event/{ada.event_id}/decisions", ada.organiser)
    assert status == 200
    assert str(ada.person_id) not in str(history)


def test_receipts_are_listed_for_organisers_page_by_page(ada: Ada) -> None:
    for _ in range(3):
        ada.purge(ada.organiser, user_id=ada.user_id)
    path = f"/event/{ada.event_id}/receipts"
    status, page = ada.site.ask("GET", f"{path}?limit=2", ada.organiser)
    assert status == 200
    _, rest = ada.site.ask("GET", f"{path}?limit=2&cursor={page['next_cursor']}", ada.organiser)
    assert rest["next_cursor"] is None
    times = [receipt["requested_at"] for receipt in (*page["items"], *rest["items"])]
    assert len(times) == 3
    assert times == sorted(times, reverse=True)
    assert str(ada.user_id) not in str((page, rest))
    assert ada.site.ask("GET", path, ada.other)[0] == 403
    assert ada.site.ask("GET", path, uuid4())[0] == 404


# ---------------------------------------------------------------- consent


def asked_for(site: AdminSite) -> set[UUID]:
    return {DetectRequested.parse(sent.data, sent.attributes).media_id for sent in site.bus.to("detect-requests")}


def test_consent_needs_the_version_of_the_text(ada: Ada) -> None:
    ada.site.connection.execute("UPDATE events SET face_recognition_enabled = false")
    status, problem = ada.consent(ada.organiser, enabled=True)
    assert status == 422
    assert "text_version" in problem["detail"]
    status, consent = ada.consent(ada.organiser, enabled=True, text_version="2026-01")
    assert (status, consent["enabled"], consent["text_version"]) == (200, True, "2026-01")


def test_a_second_identical_consent_changes_nothing(ada: Ada) -> None:
    first = ada.consent(ada.organiser, enabled=True, text_version="2")
    before, log = snapshot(ada.site.connection), rows(ada.site.connection, "event_consents")
    assert ada.consent(ada.organiser, enabled=True, text_version="2") == first
    assert snapshot(ada.site.connection) == before
    assert rows(ada.site.connection, "event_consents") == log


def test_every_change_of_consent_is_logged_with_who_made_it(ada: Ada) -> None:
    ada.consent(ada.organiser, enabled=True, text_version="2")
    ada.consent(ada.organiser, enabled=False)
    ada.consent(None, enabled=True, text_version="3")
    log = ada.site.connection.execute("SELECT * FROM event_consents ORDER BY at").fetchall()
    assert [(row["enabled"], row["text_version"], row["actor_id"]) for row in log[1:]] == [
        (True, "2", ada.organiser),
        (False, "2", ada.organiser),
        (True, "3", None),
    ]


def test_withdrawing_consent_erases_the_biometrics_and_keeps_what_people_said(ada: Ada) -> None:
    status, consent = ada.consent(ada.organiser, enabled=False)
    assert (status, consent["enabled"]) == (200, False)
    for row in rows(ada.site.connection, "faces"):
        assert row["embedding"] is row["landmarks"] is row["thumbnail_object"] is None
        assert row["face_person_id"] == ada.person_id
    assert len(rows(ada.site.connection, "media_tags")) == 2
    _, page = ada.site.ask("GET", f"/event/{ada.event_id}/receipts", ada.organiser)
    assert [(receipt["reason"], receipt["thumbnails"]) for receipt in page["items"]] == [("consent", "being erased")]


def test_consent_given_again_asks_for_the_photos_whose_biometrics_are_gone(ada: Ada) -> None:
    connection = ada.site.connection
    ada.consent(ada.organiser, enabled=False)
    refused, never, without_faces, broken = (photo(connection, ada.event_id) for _ in range(4))
    detect_job(connection, ada.event_id, refused, status="failed", error_code="no_consent")
    detect_job(connection, ada.event_id, without_faces, status="completed")
    detect_job(connection, ada.event_id, broken, status="failed", error_code="corrupt")
    status, consent = ada.consent(ada.organiser, enabled=True, text_version="1")
    assert (status, consent["photos_asked_for"], consent["photos_left"]) == (200, 4, False)
    assert asked_for(ada.site) == {*ada.photos, refused, never}
    assert ada.consent(ada.organiser, enabled=True, text_version="1")[1]["photos_asked_for"] == 0


@pytest.mark.parametrize("path", ["consent", "archive"])
def test_only_organisers_and_the_host_app_decide_on_consent(ada: Ada, path: str) -> None:
    method = "PUT" if path == "consent" else "POST"
    body: dict[str, Any] = {"enabled": False} if path == "consent" else {}
    address = f"/event/{ada.event_id}/{path}"
    before = snapshot(ada.site.connection)
    assert ada.site.ask(method, address, ada.user_id, **body)[0] == 403
    assert ada.site.ask(method, address, uuid4(), **body)[0] == 404
    assert snapshot(ada.site.connection) == before
    assert ada.site.ask(method, address, None, **body)[0] == 200


def test_an_archived_event_is_not_switched_on_again(ada: Ada) -> None:
    status, archived = ada.site.ask("POST", f"/event/{ada.event_id}/archive", ada.organiser)
    assert status == 200
    assert archived["archived_at"] is not None
    again = ada.site.ask("POST", f"/event/{ada.event_id}/archive", ada.organiser)[1]
    assert again["archived_at"] == archived["archived_at"]
    status, problem = ada.consent(ada.organiser, enabled=True, text_version="2")
    assert (status, problem["code"]) == (409, "event_archived")
    assert [row["reason"] for row in rows(ada.site.connection, "purge_receipts")] == ["archive"]


# ---------------------------------------------------------------- export


def test_the_user_is_given_all_that_is_held_with_the_embeddings(ada: Ada) -> None:
    ada.site.ask("POST", f"/person/{ada.person_id}/cover", ada.organiser, face_id=ada.faces[1])
    status, held = ada.export(ada.user_id)
    assert status == 200
    assert held["account"]["email"] == "ada@example.org"
    assert [found["event_id"] for found in held["memberships"]] == [str(ada.event_id)]
    assert {found["id"] for found in held["faces"]} == {str(face_id) for face_id in ada.faces}
    for found in held["faces"]:
        assert len(found["embedding"]) == 512
        assert found["bbox"] == BOX
    assert {tag["media_id"] for tag in held["tags"]} == {str(media_id) for media_id in ada.photos}
    assert [(told["kind"], told["made_by_you"]) for told in held["decisions"]] == [("cover", False)]


def test_the_embeddings_may_be_left_out(ada: Ada) -> None:
    _, held = ada.export(ada.user_id, "?embeddings=false")
    assert len(held["faces"]) == 2
    assert not [found for found in held["faces"] if "embedding" in found or "landmarks" in found]


def test_an_organiser_is_given_no_embedding_no_address_and_no_reads(ada: Ada) -> None:
    status, held = ada.export(ada.organiser, f"?user_id={ada.user_id}&event_id={ada.event_id}&embeddings=true")
    assert status == 200
    assert len(held["faces"]) == 2
    assert not [found for found in held["faces"] if "embedding" in found or "landmarks" in found]
    assert "email" not in held["account"]
    assert held["reads"] is None


def test_of_others_only_what_an_event_of_one_s_own_holds(ada: Ada) -> None:
    assert ada.export(ada.organiser, f"?user_id={ada.user_id}")[0] == 422
    assert ada.export(ada.other, f"?user_id={ada.user_id}&event_id={ada.event_id}")[0] == 403
    elsewhere = event(ada.site.connection)
    organiser_elsewhere = member(ada.site.connection, elsewhere, "owner")
    assert ada.export(organiser_elsewhere, f"?user_id={ada.user_id}&event_id={ada.event_id}")[0] == 404
    assert ada.export(organiser_elsewhere, f"?user_id={ada.user_id}&event_id={elsewhere}")[0] == 404


def test_the_host_app_says_whose_data(ada: Ada) -> None:
    assert ada.export(None)[0] == 422
    status, held = ada.export(None, f"?user_id={ada.user_id}")
    assert (status, len(held["faces"])) == (200, 2)
    assert ada.export(None, f"?user_id={uuid4()}")[0] == 404


def test_the_export_holds_nothing_of_others_and_nothing_after_a_purge(ada: Ada) -> None:
    other_person = person(ada.site.connection, ada.event_id, status="linked", linked_user_id=ada.other)
    other_face = face(ada.site.connection, ada.event_id, ada.photos[0], person_id=other_person)
    _, held = ada.export(ada.user_id)
    for of_others in (other_person, other_face, ada.other, ada.organiser):
        assert str(of_others) not in str(held)
    ada.purge(ada.user_id, user_id=ada.user_id)
    _, held = ada.export(ada.user_id)
    assert held["persons"] == held["faces"] == held["tags"] == held["invitations"] == held["reads"] == []


def test_an_export_is_itself_in_the_audit_and_the_next_export_tells_of_it(ada: Ada) -> None:
    ada.export(ada.organiser, f"?user_id={ada.user_id}&event_id={ada.event_id}")
    (read,) = rows(ada.site.connection, "biometric_reads")
    assert (read["actor"], read["what"], read["subject_id"]) == (str(ada.organiser), "export", ada.user_id)
    _, held = ada.export(ada.user_id)
    assert [(told["what"], told["by"], told["reads"]) for told in held["reads"]] == [("export", "an organiser", 1)]
