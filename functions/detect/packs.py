"""Model packs in place: find, check by sha256, fetch.

A pack is a detector and an embedder in `DIR/models/NAME/`. DIR is the environment's FACE_MODEL_DIR, or
`.trombi` in the repository. `python -m functions.detect.packs fetch NAME` puts one there.
"""

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from functions.detect.pack_list import (
    AURAFACE,
    BUFFALO_L,
    MINI,
    PACKS,
    NpmTarball,
    Pack,
    PackError,
    PackFile,
    PypiWheel,
    ZipMember,
)

__all__ = [
    "AURAFACE",
    "BUFFALO_L",
    "MINI",
    "PACKS",
    "Pack",
    "PackError",
    "PackFile",
    "fetch",
    "find",
    "model_root",
    "pack_directory",
    "sha256_of",
    "verify",
]

Report = Callable[[str], None]

MODEL_DIR_VARIABLE = "FACE_MODEL_DIR"
_REPOSITORY = Path(__file__).resolve().parents[2]
_LEFTOVER_SECONDS = 3600


def find(name: str, *, mirrored: bool = False) -> Pack:
    """Return the pack of that name, with the option FACE_MIRRORED. PackError when there is none."""
    if name not in PACKS:
        message = f"there is no model pack called {name!r}: choose one of {', '.join(sorted(PACKS))} (FACE_PACK)"
        raise PackError(message)
    return replace(PACKS[name], mirrored=mirrored)


def model_root() -> Path:
    """Return the directory that holds `models/`: FACE_MODEL_DIR, or `.trombi` in the repository."""
    configured = os.environ.get(MODEL_DIR_VARIABLE)
    return Path(configured).expanduser().resolve() if configured else _REPOSITORY / ".trombi"


def pack_directory(pack: Pack, root: Path | None = None) -> Path:
    """Return where the pack's two files belong, whether they are there or not."""
    return (root or model_root()) / "models" / pack.name


def verify(pack: Pack, root: Path | None = None) -> Path:
    """Check both files by sha256 and that no other ONNX file lies beside them; return the pack's directory.

    Raises PackError that names the file, what was expected and found, and the command that mends it.
    """
    directory = pack_directory(pack, root)
    for file in pack.files:
        _verify_file(pack, file, directory / file.filename)
    # insightface loads every ONNX file of the folder, so a stray one would cost memory or take a role.
    expected = {file.filename for file in pack.files}
    strays = sorted(path.name for path in directory.glob("*.onnx") if path.name not in expected)
    if strays:
        message = f"{directory} holds {', '.join(strays)}, which the pack {pack.name} does not have: remove it"
        raise PackError(message)
    return directory


def fetch(name: str, root: Path | None = None, report: Report | None = None) -> Path:
    """Put a pack in place, unless it is there already, and return its directory.

    `report` is told in plain words what happens. Raises PackError that says which file is missing, from where
    it comes, which sha256 it must have and where to place it by hand.
    """
    pack = find(name)
    say = report or _silent
    try:
        directory = verify(pack, root)
    except PackError:
        pass
    else:
        say(f"{pack.name} is in place: {directory}")
        return directory

    # Fetching needs onnx, pip and npm; a function that only verifies its baked-in pack needs none of them.
    from functions.detect import pack_sources  # noqa: PLC0415

    directory = pack_directory(pack, root)
    directory.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(directory)
    # Beside the target, so that the rename at the end stays on one file system and is atomic.
    workspace = Path(tempfile.mkdtemp(prefix=_workspace_prefix(directory), dir=directory.parent))
    try:
        built = workspace / "pack"
        built.mkdir()
        for file in pack.files:
            placed = directory / file.filename
            if placed.is_file() and sha256_of(placed) == file.sha256:
                say(f"{file.filename}: is in place")
                shutil.copyfile(placed, built / file.filename)
            else:
                say(f"{file.filename}: from {file.source}")
                _obtain(pack, file, built / file.filename, pack_sources.obtain, workspace, say)
        _put_in_place(built, directory, workspace)
    except PackError as error:
        message = f"{error}\n{_by_hand(pack, directory)}"
        raise PackError(message) from error
    finally:
        shutil.rmtree(workspace, ignore_errors=True)
    say(f"{pack.name} is in place: {directory}")
    return verify(pack, root)


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _obtain(
    pack: Pack,
    file: PackFile,
    target: Path,
    obtain: Callable[[PackFile, Path, Path, Report], None],
    workspace: Path,
    say: Report,
) -> None:
    obtain(file, target, workspace, say)
    found = sha256_of(target)
    if found != file.sha256:
        message = f"{file.filename} of {pack.name} came out with sha256 {found}, but {file.sha256} is pinned"
        raise PackError(message)


def _workspace_prefix(directory: Path) -> str:
    return f".{directory.name}-"


def _remove_leftovers(directory: Path) -> None:
    """Remove the workspaces of fetches that were killed: old ones, for another fetch may be under way."""
    for workspace in directory.parent.glob(f"{_workspace_prefix(directory)}*"):
        if time.time() - workspace.stat().st_mtime > _LEFTOVER_SECONDS:
            shutil.rmtree(workspace, ignore_errors=True)


def _put_in_place(built: Path, directory: Path, workspace: Path) -> None:
    """Swap the finished directory in by renames; what it replaces goes with the workspace."""
    if directory.exists():
        directory.rename(workspace / "replaced")
    try:
        built.rename(directory)
    except OSError:
        # Another process was faster by a moment. Its files are the same: the caller verifies them.
        if not directory.is_dir():
            raise


def _verify_file(pack: Pack, file: PackFile, path: Path) -> None:
    if not path.is_file():
        message = f"the model pack {pack.name} lacks {path}. {_mend(pack)}"
        raise PackError(message)
    found = sha256_of(path)
    if found != file.sha256:
        message = f"{path} has sha256 {found}, but the pack {pack.name} needs {file.sha256}. {_mend(pack)}"
        raise PackError(message)


def _mend(pack: Pack) -> str:
    return f"Run: make model PACK={pack.name}"


def _by_hand(pack: Pack, directory: Path) -> str:
    """Say which files are wanted, from where, with which hash and under which name."""
    lines = ["To place the pack by hand:"]
    for file in pack.files:
        lines += [f"  {directory / file.filename}", f"    sha256 {file.sha256}", f"    from   {file.source}"]
        if isinstance(file.source, ZipMember):
            lines.append(f"           (the zip's own sha256 is {file.source.sha256})")
        if isinstance(file.source, PypiWheel | NpmTarball):
            lines.append(
                f"           (converted from it: copy it from a machine where `make model PACK={pack.name}` works)"
            )
    lines.append(f"Then run again: make model PACK={pack.name}")
    return "\n".join(lines)


def _silent(_message: str) -> None:
    """Report to nobody."""


def _say_on_stderr(message: str) -> None:
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


def main(arguments: list[str] | None = None) -> int:
    """Run `fetch NAME` or `verify NAME`; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m functions.detect.packs", description="Fetch or check a model pack."
    )
    parser.add_argument("action", choices=("fetch", "verify"))
    parser.add_argument("name", choices=sorted(PACKS))
    parser.add_argument("--dir", type=Path, default=None, help=f"where models/ is; default {model_root()}")
    options = parser.parse_args(arguments)
    pack = find(options.name)
    try:
        if options.action == "fetch":
            fetch(pack.name, options.dir, _say_on_stderr)
        else:
            _say_on_stderr(f"{pack.name} is whole: {verify(pack, options.dir)}")
    except PackError as error:
        _say_on_stderr(f"error: {error}")
        return 1
    _say_on_stderr(pack.notice)
    return 0


if __name__ == "__main__":
    sys.exit(main())
