"""The database takes the tag of any language; which of them are spoken is for the folders to say."""

from __future__ import annotations

import pytest

from shared.database import Connection
from tests.arrange import event


@pytest.mark.parametrize("tag", ["de", "pt-BR"])
def test_an_event_may_want_any_language(connection: Connection, tag: str) -> None:
    event_id = event(connection, language=tag)
    row = connection.execute("SELECT language FROM events WHERE id = %s", (event_id,)).fetchone()
    assert row is not None
    assert row["language"] == tag


@pytest.mark.parametrize("tag", ["German", "", "de_AT", "DE", "de\nx"])
def test_what_is_no_tag_is_no_language(connection: Connection, tag: str) -> None:
    with pytest.raises(Exception, match="events_language_check"):
        event(connection, language=tag)
