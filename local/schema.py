"""``make schema``: replay the migrations in an embedded Postgres of its own and write ``sql/schema.sql``."""

from __future__ import annotations

import tempfile
from pathlib import Path

from local.cloud.postgres import database_url, postgres_process, remove_data
from local.cloud.processes import Supervisor
from local.cloud.state import State
from local.migrate import SCHEMA, dump_schema, migrate


def main() -> None:
    """Write the schema file."""
    with tempfile.TemporaryDirectory(prefix="trombi-schema-") as folder:
        state = State(Path(folder))
        state.lock()
        supervisor = Supervisor(state.directory / "logs", lambda _: None)
        port = state.ports("postgres")["postgres"]
        try:
            supervisor.start(postgres_process("postgres", port, state.directory, lambda _: None, fast=True))
            migrate(database_url(port))
            dump_schema(database_url(port), SCHEMA)
        finally:
            supervisor.stop()
            remove_data(state.directory)
            state.release()


if __name__ == "__main__":
    main()
