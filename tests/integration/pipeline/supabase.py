"""A host's database as a Supabase project has it, with an app whose tables have names that Trombi uses too."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid4

import psycopg

from local.cloud.postgres import database_url as url_of

OWNER = "project_owner"
API_ROLES = "anon, authenticated, service_role"

# The owner of a project is no superuser, and the API's roles are made by somebody else.
ROLES = f"""
CREATE ROLE {OWNER} LOGIN CREATEDB CREATEROLE REPLICATION BYPASSRLS;
CREATE ROLE anon NOLOGIN NOINHERIT;
CREATE ROLE authenticated NOLOGIN NOINHERIT;
CREATE ROLE service_role NOLOGIN NOINHERIT BYPASSRLS;
CREATE ROLE authenticator LOGIN NOINHERIT;
GRANT {API_ROLES} TO authenticator;
GRANT {API_ROLES} TO {OWNER} WITH ADMIN OPTION;
"""
_PROJECT = f"""
CREATE SCHEMA extensions;
GRANT USAGE ON SCHEMA extensions TO {OWNER}, {API_ROLES};
GRANT ALL ON SCHEMA extensions, public TO {OWNER};
CREATE EXTENSION vector SCHEMA extensions;
CREATE SCHEMA auth;
GRANT USAGE ON SCHEMA auth, public TO {OWNER}, {API_ROLES};
CREATE TABLE auth.users (id uuid PRIMARY KEY, email text);
GRANT SELECT, REFERENCES ON auth.users TO {OWNER};
"""
# Until 2025 a project granted its API everything that the owner made in public; a few widened that to every schema.
OLD_DEFAULTS = "".join(
    f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER}{where} GRANT ALL ON {kind} TO {API_ROLES};"
    for where in ("", " IN SCHEMA public")
    for kind in ("TABLES", "SEQUENCES", "FUNCTIONS")
)
_APP = """
CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email varchar(200) UNIQUE);
CREATE TABLE events (id serial PRIMARY KEY, title text, owner bigint REFERENCES users (id));
CREATE TABLE media (id serial PRIMARY KEY, event bigint REFERENCES events (id), storage_path text NOT NULL);
CREATE TABLE invitations (code text PRIMARY KEY, event bigint REFERENCES events (id));
CREATE TABLE outbox (id serial PRIMARY KEY, payload jsonb);
CREATE TABLE faces (polygon text);
CREATE TABLE schema_migrations (version varchar PRIMARY KEY, applied_at timestamptz);
CREATE FUNCTION trombi_user_id() RETURNS uuid LANGUAGE sql AS 'SELECT gen_random_uuid()';
ALTER TABLE events ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody ON events FOR SELECT TO authenticated USING (true);
INSERT INTO users (email) VALUES ('host@example.org');
INSERT INTO events (title, owner) VALUES ('A party of the app', 1);
INSERT INTO media (event, storage_path) VALUES (1, 'party/1.jpg');
INSERT INTO invitations VALUES ('abc', 1);
INSERT INTO outbox (payload) VALUES ('{"mail": 1}');
INSERT INTO schema_migrations VALUES ('0001', '2024-01-01');
"""


@dataclass(frozen=True)
class Project:
    """One database of the server, and who logs in to it."""

    port: int
    name: str

    @property
    def url(self) -> str:
        """The owner's address, as the host copies it from Supabase: without a word on where anything is."""
        return f"postgresql://{OWNER}@127.0.0.1:{self.port}/{self.name}?sslmode=disable"

    @property
    def url_with_search_path(self) -> str:
        return f"{self.url}&options=-csearch_path%3Dtrombi%2Cpublic%2Cextensions"

    @property
    def administrators_url(self) -> str:
        return url_of(self.port, self.name)


def make_project(port: int, defaults: str) -> Project:
    """Make a database with the app's tables and rows in it; the server has the roles already."""
    project = Project(port, f"project_{uuid4().hex}")
    with psycopg.connect(url_of(port), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {project.name} OWNER {OWNER}".encode())
    with psycopg.connect(project.administrators_url, autocommit=True) as connection:
        connection.execute(_PROJECT.encode())
        connection.execute(defaults.encode())
        connection.execute(f'ALTER DATABASE {project.name} SET search_path = "$user", public, extensions'.encode())
    with psycopg.connect(project.url, autocommit=True) as connection:
        connection.execute(_APP.encode())
    return project


def drop_project(project: Project) -> None:
    """Drop the database."""
    with psycopg.connect(url_of(project.port), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {project.name} WITH (FORCE)".encode())
