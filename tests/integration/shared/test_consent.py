"""Who acts on an event's consent keeps it until the commit; who only looks does not."""

from __future__ import annotations

import psycopg
import pytest

from shared import consent
from shared.database import Connection, Database
from tests.arrange import event

_SWITCH_OFF = "UPDATE events SET face_recognition_enabled = false WHERE id = %s"


@pytest.mark.parametrize("ask", [consent.consents, consent.keep_consent])
@pytest.mark.parametrize(
    ("consents", "archived", "expected"), [(True, False, True), (False, False, False), (True, True, False)]
)
def test_an_event_consents_while_it_is_switched_on_and_not_archived(
    connection: Connection,
    database: Database,
    ask: object,
    consents: bool,  # noqa: FBT001
    archived: bool,  # noqa: FBT001
    expected: bool,  # noqa: FBT001
) -> None:
    event_id = event(connection, consents=consents, archived=archived)
    with database.transaction() as inner:
        assert ask(inner, event_id) is expected  # type: ignore[operator]


def test_kept_consent_is_not_withdrawn_before_the_commit(connection: Connection, database: Database) -> None:
    event_id = event(connection)
    connection.execute("SET lock_timeout = '200ms'")
    with database.transaction() as inner:
        assert consent.keep_consent(inner, event_id)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            connection.execute(_SWITCH_OFF, (event_id,))
    connection.execute(_SWITCH_OFF, (event_id,))


def test_looking_holds_nobody_up(connection: Connection, database: Database) -> None:
    event_id = event(connection)
    connection.execute("SET lock_timeout = '200ms'")
    with database.transaction() as inner:
        assert consent.consents(inner, event_id)
        connection.execute(_SWITCH_OFF, (event_id,))
        assert not consent.consents(inner, event_id)
