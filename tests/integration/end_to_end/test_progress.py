"""Progress moves by itself: server-sent events of the real server, while photos are looked at."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt

from local.cloud.cloud import Cloud
from tests.integration.end_to_end.whole_cloud import PATIENCE_SECONDS, Event


def told(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def test_an_organiser_sees_the_photos_being_done_without_asking_again(cloud: Cloud, photos: dict[str, Path]) -> None:
    event = Event.made(cloud.addresses, photos)
    (owner,) = event.rows("SELECT creator_id AS id FROM events WHERE id = %s", event.event_id)
    claims = {"sub": str(owner["id"]), "aud": "authenticated", "exp": int(time.time()) + 600}
    token = jwt.encode(claims, cloud._options.environment["JWT_SECRET"], algorithm="HS256")
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
    url = f"{cloud.addresses.function_urls['admin']}/event/{event.event_id}/progress"
    seen: list[dict[str, Any]] = []
    with httpx.Client(timeout=PATIENCE_SECONDS) as client, client.stream("GET", url, headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        states = told(answer.iter_lines())
        seen.append(next(states))
        event.upload()
        for state in states:
            seen.append(state)
            if state["persons"]["found"] and not state["photos"]["waiting"] and not state["clustering"]["running"]:
                break
    first, last = seen[0], seen[-1]
    assert first["photos"] == {"total": len(photos), "done": 0, "failed": 0, "waiting": len(photos)}
    assert last["photos"] == {"total": len(photos), "done": len(photos), "failed": 0, "waiting": 0}
    assert last["faces"] > 0
    assert all(one != other for one, other in itertools.pairwise(seen)), "only changes are told"
    event.wait_until_settled()
