"""What the functions write while they work: structured, and about nobody."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from uuid import UUID

import httpx
import jwt

from local.cloud.cloud import Cloud
from shared.version import VERSION
from tests.integration.end_to_end.whole_cloud import Event

NAME, GUEST = "Zéphyrine", "guest.of.honour@example.org"
PERSONAL = (NAME, "Quiberville", "zephyrine@example.org", GUEST)
FUNCTIONS = ("admin", "callback", "cluster", "detect")
_MANY_NUMBERS = re.compile(r"(?:-?\d*\.\d+(?:e-?\d+)?\s*,\s*){8}")


def named(event: Event) -> UUID:
    """Give the event, and its organiser, a name that nothing else has; the organiser's id."""
    (owner,) = event.rows(
        """
        WITH renamed AS (UPDATE events SET name = 'Quiberville' WHERE id = %s RETURNING creator_id)
        UPDATE users SET display_name = %s, email = 'zephyrine@example.org' FROM renamed
        WHERE users.id = creator_id RETURNING users.id
        """,
        event.event_id,
        NAME,
    )
    user_id: UUID = owner["id"]
    return user_id


def test_the_log_of_a_whole_run_names_nobody_and_holds_no_embedding(cloud: Cloud, photos: dict[str, Path]) -> None:
    before = {name: len(entries(cloud, name)) for name in FUNCTIONS}
    event = Event.made(cloud.addresses, photos)
    owner = named(event)
    event.upload()
    event.wait_until_settled()

    claims = {"sub": str(owner), "aud": "authenticated", "exp": int(time.time()) + 600}
    token = jwt.encode(claims, cloud._options.environment["JWT_SECRET"], algorithm="HS256")
    url = cloud.addresses.function_urls["admin"]
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
        persons = client.get(f"/event/{event.event_id}/face-persons").json()["items"]
        first, second = persons[0], persons[1]
        assert client.get(first["cover_url"]).headers["content-type"] == "image/jpeg"
        face = client.get(f"/person/{first['id']}/faces").json()["items"][0]
        assert client.get(face["photo_url"], params={"width": 256}).headers["content-type"] == "image/jpeg"
        found = client.get(f"/event/{event.event_id}/members", params={"q": NAME}).json()["items"]
        assert [member["display_name"] for member in found] == [NAME]
        answers = [
            client.post(f"/person/{first['id']}/link-user", json={"user_id": str(owner)}),
            client.post(f"/person/{second['id']}/invite", json={"email": GUEST, "message": NAME}),
            client.post(f"/person/{second['id']}/invite", json={"email": f"{GUEST} {NAME}"}),
            client.get("/events", headers={"Authorization": f"Bearer {GUEST}"}),
        ]
        assert [answer.status_code for answer in answers] == [200, 200, 422, 401]
    event.wait_until_settled()

    written = {name: entries(cloud, name)[before[name] :] for name in FUNCTIONS}
    assert any(entry["message"] == "authentication failed" for entry in written["admin"])
    assert written["callback"] != [], "it told of the analysis and of the invitation"
    for name, told in written.items():
        text = json.dumps(told, ensure_ascii=False)
        assert [personal for personal in PERSONAL if personal in text] == [], name
        assert not _MANY_NUMBERS.search(text), f"{name}: an embedding"


def test_every_function_says_its_version_when_it_starts(cloud: Cloud) -> None:
    for name in FUNCTIONS:
        versions = {entry["version"] for entry in entries(cloud, name) if entry["message"] == "trombi started"}
        assert versions == {VERSION}, name


def entries(cloud: Cloud, function: str) -> list[dict[str, object]]:
    """What a function has written; every line of it is a JSON object."""
    lines = (cloud.state_directory / "logs" / f"{function}.log").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
