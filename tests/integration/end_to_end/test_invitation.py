"""From the organiser's invitation to the guest's tags, by real mail, over the whole emulated cloud."""

from __future__ import annotations

import re
import time
from pathlib import Path

import httpx
import jwt

from local.cloud.cloud import Cloud
from tests.integration.end_to_end.whole_cloud import Event, wait_until

_GUEST = "guest@example.net"
_HOST = "host@example.com"


def mail_to(cloud: Cloud, address: str) -> str:
    """The page of the newest mail to an address, once it is there."""
    pages: list[str] = []
    # One client: each makes a TLS context of its own, 15 ms of the processor.
    with httpx.Client(base_url=cloud.addresses.inbox_url, trust_env=False) as inbox:

        def has_come() -> bool:
            found = re.search(
                rf'href="(/mails/[^"]+)">[^<]*</a><br>\s*<small>to {re.escape(address)}', inbox.get("/").text
            )
            if found:
                pages.append(inbox.get(found[1]).text)
            return found is not None

        wait_until(has_come, f"a mail to {address}")
    return pages[0]


def test_a_guest_is_invited_by_mail_says_yes_and_is_tagged(cloud: Cloud, photos: dict[str, Path]) -> None:
    event = Event.made(cloud.addresses, dict(list(photos.items())[:12]))
    (host,) = event.rows(
        "UPDATE users SET email = %s WHERE id = (SELECT creator_id FROM events WHERE id = %s) RETURNING id",
        _HOST,
        event.event_id,
    )
    event.upload()
    event.wait_until_settled()
    assert f"/events/{event.event_id}/analyse" in mail_to(cloud, _HOST)
    (person,) = event.rows(
        "SELECT face_person_id AS id, array_agg(DISTINCT media_id::text) AS photos FROM faces "
        "WHERE event_id = %s AND face_person_id IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC LIMIT 1",
        event.event_id,
    )
    secret = cloud._options.environment["JWT_SECRET"]
    claims = {"sub": str(host["id"]), "aud": "authenticated", "exp": int(time.time()) + 600}
    bearer = {"Authorization": f"Bearer {jwt.encode(claims, secret, algorithm='HS256')}"}

    with httpx.Client(base_url=cloud.addresses.function_urls["admin"], trust_env=False, timeout=30) as admin:
        asked = admin.post(f"/person/{person['id']}/invite", json={"email": _GUEST}, headers=bearer)
        assert asked.status_code == 200, asked.text
        link = re.search(r'href="([^"]+/invite/[^"]+)"', mail_to(cloud, _GUEST))
        assert link is not None
        assert "<main" in admin.get(link[1], headers={"Accept": "text/html"}).text
        shown = admin.get(link[1]).json()
        assert shown["photos"] == len(person["photos"])
        assert admin.get(shown["faces"][0]["thumbnail_url"]).content.startswith(b"\xff\xd8")
        assert admin.post(link[1], json={"answer": "accept"}).status_code == 200
    tagged = event.rows(
        "SELECT media_id::text AS photo FROM media_tags JOIN users ON users.id = tagged_user_id WHERE users.email = %s",
        _GUEST,
    )
    assert {tag["photo"] for tag in tagged} == set(person["photos"])
