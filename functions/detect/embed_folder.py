"""Embed the faces of labelled photos for whoever measures a model pack: a folder for each person, photos within.

    python -m functions.detect.embed_folder FOLDER --pack mini > faces.npz

writes a NumPy archive to standard output and its progress to standard error; nothing is kept on disk. Arrays, a row for
each face: ``embedding`` float32[n, 512], ``person`` str[n] (the folder's name), ``photo`` int64[n], ``path`` str[n]
(the photo's, below FOLDER), ``score``, ``sharpness``, ``yaw``, ``pitch``, ``roll``, ``size_px`` float64[n] as detect
stores them; and ``model``, the model id.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from functions.detect import packs
from functions.detect.engine import EMBEDDING_SIZE, ENOUGH_TO_DETECT, DetectedFace, Engine
from shared.decode import BadImage, NotAnImage, decode

MEASURES = ("score", "sharpness", "yaw", "pitch", "roll", "size_px")


def labelled_photos(folder: Path) -> list[tuple[str, Path]]:
    """List the files in the sub-folders of ``folder`` with the sub-folder's name, sorted, without hidden ones."""
    people = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [
        (person.name, path)
        for person in people
        for path in sorted(person.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    ]


def embed_folder(folder: Path, engine: Engine, model: str, say: Callable[[str], None]) -> bytes:
    """Return the archive described above; files that are no readable picture are named and left out."""
    photos = labelled_photos(folder)
    people: list[str] = []
    numbers: list[int] = []
    paths: list[str] = []
    faces: list[DetectedFace] = []
    for number, (person, path) in enumerate(photos):
        try:
            found = engine.detect(decode(path.read_bytes(), enough=ENOUGH_TO_DETECT)).faces
        except (BadImage, NotAnImage) as error:
            say(f"{person}/{path.name} is left out: {error}")
            continue
        faces += found
        people += [person] * len(found)
        numbers += [number] * len(found)
        paths += [str(path.relative_to(folder))] * len(found)
        say(f"{number + 1} of {len(photos)} photos, {len(faces)} faces")
    archive = io.BytesIO()
    columns: dict[str, Any] = {
        name: np.array([_measure(face, name) for face in faces], dtype=np.float64) for name in MEASURES
    }
    columns["embedding"] = np.array([face.embedding for face in faces], dtype=np.float32).reshape(-1, EMBEDDING_SIZE)
    columns |= {"person": np.array(people, dtype=np.str_), "photo": np.array(numbers, dtype=np.int64)}
    columns["path"] = np.array(paths, dtype=np.str_)
    np.savez(archive, model=np.array(model), **columns)
    return archive.getvalue()


def _measure(face: DetectedFace, name: str) -> float:
    return float(face.quality_score if name == "score" else getattr(face, name))


def _say_on_stderr(message: str) -> None:
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


def main(arguments: list[str] | None = None) -> int:
    """Embed a folder; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m functions.detect.embed_folder", description="Embed the faces of labelled photos."
    )
    parser.add_argument("folder", type=Path, help="a folder for each person, photos of that person within")
    parser.add_argument("--mirrored", action="store_true", help="as with FACE_MIRRORED")
    parser.add_argument("--pack", choices=sorted(packs.PACKS), default=os.environ.get("FACE_PACK", "mini"))
    options = parser.parse_args(arguments)
    try:
        pack = packs.find(options.pack, mirrored=options.mirrored)
        engine = Engine(packs.verify(pack), threads=len(os.sched_getaffinity(0)), mirrored=pack.mirrored)
    except packs.PackError as error:
        _say_on_stderr(f"error: {error}")
        return 1
    if not options.folder.is_dir():
        _say_on_stderr(f"error: {options.folder} is no folder")
        return 1
    sys.stdout.buffer.write(embed_folder(options.folder, engine, pack.model_id, _say_on_stderr))
    return 0


if __name__ == "__main__":
    sys.exit(main())
