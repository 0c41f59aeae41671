"""Trombi in the database of a host app on Supabase: it works there, keeps to its own schema, and goes without trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import UUID

import psycopg
import pytest

from functions.cluster.run import ClusterRun
from shared.contracts import ClusterRequested
from shared.database import Connection
from sql.migrate import migrate
from sql.uninstall import UninstallError, uninstall
from tests.arrange import cluster_job
from tests.databases import dump, run_schema, running_postgres
from tests.integration.admin.conftest import open_site
from tests.integration.pipeline.scene import Buckets, RememberingEngine, Scene, media_of
from tests.integration.pipeline.supabase import OLD_DEFAULTS, ROLES, Project, drop_project, make_project

# Whatever default privileges say: what anybody but the owner may do with the tables, sequences and functions there.
_RIGHTS_OF = """
SELECT relname FROM pg_class WHERE relnamespace = 'trombi'::regnamespace AND (
    CASE relkind WHEN 'S' THEN has_sequence_privilege(%(role)s, oid, 'USAGE, SELECT, UPDATE')
        ELSE relkind IN ('r', 'v', 'm') AND (
            has_table_privilege(%(role)s, oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
            OR has_any_column_privilege(%(role)s, oid, 'SELECT, INSERT, UPDATE')) END
)
UNION ALL SELECT proname FROM pg_proc
WHERE pronamespace = 'trombi'::regnamespace AND has_function_privilege(%(role)s, oid, 'EXECUTE')
UNION ALL SELECT nspname FROM pg_namespace
WHERE nspname = 'trombi' AND has_schema_privilege(%(role)s, oid, 'USAGE, CREATE')
"""
_PUBLIC_RIGHTS = """
SELECT relname FROM pg_class, aclexplode(relacl) WHERE relnamespace = 'trombi'::regnamespace AND grantee = 0
UNION ALL SELECT proname FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner)))
WHERE pronamespace = 'trombi'::regnamespace AND grantee = 0
"""
_READ_BY_A_HOSTS_SERVER = (
    "SELECT id, name, archived_at FROM trombi.events",
    "SELECT count(*) FROM trombi.media",
    "SELECT id, status, error FROM trombi.ml_jobs",
    "SELECT id, status, linked_user_id, metadata FROM trombi.face_persons",
    "SELECT id, media_id, face_person_id, bbox FROM trombi.faces",
    "SELECT media_id, tagged_user_id FROM trombi.media_tags",
    "SELECT * FROM trombi.metric_event_coverage",
    "INSERT INTO trombi.users (email) VALUES ('New@Example.org')",
)
_CLOSED_TO_A_HOSTS_SERVER = (
    "SELECT embedding FROM trombi.faces",
    "SELECT token_hash FROM trombi.invitations",
    "SELECT version FROM trombi.schema_migrations",
    "SELECT data FROM trombi.outbox",
)


@pytest.fixture(scope="module")
def supabase_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server of this module's own, for its roles."""
    with running_postgres(tmp_path_factory.mktemp("supabase")) as port:
        with psycopg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres", autocommit=True) as connection:
            connection.execute(ROLES.encode())
        yield port


@pytest.fixture
def projects(supabase_port: int) -> Iterator[Callable[[str], Project]]:
    """Make databases with some default privileges; they are dropped in the end, so that roles are in use no longer."""
    made: list[Project] = []

    def make(defaults: str) -> Project:
        made.append(make_project(supabase_port, defaults))
        return made[-1]

    yield make
    for project in made:
        drop_project(project)


@pytest.fixture(params=[OLD_DEFAULTS, ""], ids=["defaults that grant all", "defaults that grant nothing"])
def defaults(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def project(projects: Callable[[str], Project], defaults: str) -> Project:
    return projects(defaults)


def refused(project: Project, role: str, statement: str) -> bool:
    with psycopg.connect(project.administrators_url) as connection:
        connection.execute(f"SET LOCAL ROLE {role}".encode())
        try:
            connection.execute(statement.encode())
        except psycopg.errors.InsufficientPrivilege:
            return True
        finally:
            connection.rollback()
    return False


def test_the_whole_flow_beside_a_host_s_tables_and_an_uninstallation_without_trace(
    project: Project, buckets: Buckets, engine: RememberingEngine, sample_photos: dict[str, bytes]
) -> None:
    before = dump(project.administrators_url)
    public = dump(project.administrators_url, "--schema=public")
    migrate(project.url)
    with psycopg.connect(
        project.url_with_search_path, autocommit=True, row_factory=psycopg.rows.dict_row
    ) as connection:
        scene = Scene(project.url, connection, buckets, engine)
        try:
            _from_upload_to_purge(scene, connection, sample_photos)
        finally:
            scene.close()
    assert dump(project.administrators_url, "--schema=public") == public
    with pytest.raises(UninstallError, match="there is data"):
        uninstall(project.url)
    done = uninstall(project.url, with_data=True)
    assert done[-1].startswith("removed the role trombi_reviewer"), done
    assert dump(project.administrators_url) == before


def _from_upload_to_purge(scene: Scene, connection: Connection, sample_photos: dict[str, bytes]) -> None:
    organiser, guest = (_user(connection, scene.event_id, role) for role in ("owner", "member"))
    uploads = [
        scene.upload(sample_photos[name])
        for name in ("group-everybody", "group-left-half", "group-middle", "guest-1-1", "guest-1-2")
    ]
    for uploaded in uploads:
        scene.detection.uploaded(uploaded)
    assert [row["status"] for row in scene.rows("SELECT status FROM ml_jobs")] == ["completed"] * 5
    job = cluster_job(connection, scene.event_id)
    ClusterRun(scene.database, scene.outbox).requested(ClusterRequested(job_id=job, run=1, event_id=scene.event_id))
    (portrait,) = scene.faces(media_of(uploads[3]))
    person_id = portrait["face_person_id"]
    assert person_id is not None
    with open_site(scene.database_url, connection) as site:
        assert site.ask("POST", f"/person/{person_id}/link-user", organiser, user_id=guest)[0] == 200
        tagged = scene.rows("SELECT media_id FROM media_tags WHERE tagged_user_id = %s", guest)
        assert {media_of(uploads[3]), media_of(uploads[4])} <= {row["media_id"] for row in tagged}
        assert site.ask("POST", "/privacy/purge", guest, event_id=scene.event_id, user_id=guest)[0] == 200
    assert scene.rows("SELECT FROM media_tags WHERE tagged_user_id = %s", guest) == []
    assert scene.rows("SELECT FROM faces WHERE face_person_id = %s", person_id) == []


def _user(connection: Connection, event_id: UUID, role: str) -> UUID:
    row = connection.execute("INSERT INTO users (display_name) VALUES ('Somebody') RETURNING id").fetchone()
    assert row is not None
    connection.execute("INSERT INTO event_members VALUES (%s, %s, %s)", (event_id, row["id"], role))
    user_id: UUID = row["id"]
    return user_id


def test_nobody_has_more_rights_than_he_is_given_whatever_the_defaults_are(project: Project) -> None:
    migrate(project.url)
    with psycopg.connect(project.administrators_url) as connection:
        assert connection.execute(_RIGHTS_OF, {"role": "anon"}).fetchall() == []
        assert connection.execute(_PUBLIC_RIGHTS).fetchall() == []
        rights = {
            role: {name for (name,) in connection.execute(_RIGHTS_OF, {"role": role})}
            for role in ("authenticated", "service_role", "trombi_reviewer", "authenticator")
        }
    assert rights["authenticator"] == set()
    for role, may in rights.items():
        assert "schema_migrations" not in may, role
    assert rights["authenticated"] == {
        *("trombi", "trombi_user_id", "trombi_is_member", "trombi_is_organiser", "trombi_event_of_media"),
        *(
            "users",
            "events",
            "event_members",
            "media",
            "ml_jobs",
            "faces",
            "face_persons",
            "media_tags",
            "cluster_runs",
        ),
    }
    assert refused(project, "anon", "SELECT FROM trombi.events")
    assert not refused(project, "authenticated", "SELECT id FROM trombi.faces")
    assert refused(project, "authenticated", "SELECT embedding FROM trombi.faces")
    assert [statement for statement in _READ_BY_A_HOSTS_SERVER if refused(project, "service_role", statement)] == []
    assert [
        statement for statement in _CLOSED_TO_A_HOSTS_SERVER if not refused(project, "service_role", statement)
    ] == []


def test_schema_sql_does_the_same(project: Project, projects: Callable[[str], Project], defaults: str) -> None:
    by_command = projects(defaults)
    run_schema(project.url)
    migrate(by_command.url)
    assert dump(project.administrators_url, "--schema=trombi") == dump(by_command.administrators_url, "--schema=trombi")
    counted_as_migrated = dump(project.administrators_url)
    migrate(project.url)
    assert dump(project.administrators_url) == counted_as_migrated


def test_roles_that_another_database_uses_stay_and_what_uses_trombi_is_named(
    projects: Callable[[str], Project],
) -> None:
    one, other = projects(""), projects("")
    migrate(one.url)
    migrate(other.url)
    assert "kept the role trombi_reviewer: another database uses it" in uninstall(one.url)
    with psycopg.connect(other.url, autocommit=True) as connection:
        connection.execute("CREATE VIEW public.guests AS SELECT id FROM trombi.users")
    with pytest.raises(UninstallError, match=r"drop it first: rule .* view public.guests"):
        uninstall(other.url)
    assert uninstall(one.url)[0] == "there is no schema trombi"
    with psycopg.connect(other.url, autocommit=True) as connection:
        connection.execute("DROP VIEW public.guests")
    assert uninstall(other.url) == ["removed the schema trombi", "removed the role trombi_reviewer"]
