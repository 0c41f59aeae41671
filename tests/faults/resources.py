"""Disks that fill up, and a Postgres that stands still."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

HOW_TO_GET_A_DISK = (
    "a disk of its own must be mounted (tmpfs) to be filled up: run as root on Linux with CAP_SYS_ADMIN "
    "(Docker: --cap-add SYS_ADMIN)"
)


class Disk:
    """A small file system in memory at ``folder``, which can be filled to the last byte."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    @classmethod
    @contextlib.contextmanager
    def mounted(cls, folder: Path, megabytes: int) -> Iterator[Disk | None]:
        """A disk at ``folder``; None where nothing may be mounted."""
        folder.mkdir(parents=True, exist_ok=True)
        options = f"size={megabytes}m,mode=0711"
        command = ["mount", "-t", "tmpfs", "-o", options, "trombi-faults", str(folder)]
        can = sys.platform == "linux" and os.geteuid() == 0
        if not can or subprocess.run(command, check=False, capture_output=True).returncode != 0:
            yield None
            return
        try:
            yield cls(folder)
        finally:
            # Lazily: what still has a file open there is about to end.
            subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Not a byte is left until the block ends."""
        try:
            with self._ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(1 << 20))
            with self._ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(512))
            assert self.free() == 0
            yield
        finally:
            self._ballast.unlink(missing_ok=True)

    def free(self) -> int:
        """Bytes that are left."""
        status = os.statvfs(self.folder)
        return status.f_bavail * status.f_frsize


@contextlib.contextmanager
def standing_still(pid: int) -> Iterator[None]:
    """The process and all its children are stopped until the block ends."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def locked(database_url: str, table: str) -> Iterator[None]:
    """Another session holds ``table`` for itself until the block ends."""
    with psycopg.connect(database_url) as connection:
        connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.Identifier(table)))
        yield
        connection.rollback()
