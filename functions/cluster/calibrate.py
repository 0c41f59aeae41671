"""Measure a model pack on labelled photos of your own, and write the constants that FACE_CALIBRATION takes.

    python -m functions.cluster.calibrate FOLDER [--pack mini] [--mirrored] [--out calibration.json]

FOLDER holds a folder for each person with photos of that person; other people may be in them. Embeds every face (with
detect's own command, in memory), prints how alike the faces of one person and of strangers are, proposes constants,
and scores them with each person left out in turn.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid5

import numpy as np
from numpy.typing import NDArray

from functions.cluster.calibration_fit import (
    NOBODY,
    LabelledFaces,
    LeftOut,
    Likeness,
    TooLittle,
    calibration_for,
    leave_one_out,
    likeness_of,
    misplaced,
    propose,
    spread,
    whose_faces,
)
from functions.cluster.states import FaceState
from shared.calibration import PackConstants, constants_of

_NAMES = UUID("0b7c2f5e-3c1d-4a1e-8f4b-52f0f3a4e9d1")
_QUANTILES = (0.0001, 0.001, 0.01, 0.05, 0.5, 0.95, 0.99, 0.999, 0.9999)
_WORST = 5


class CannotEmbed(RuntimeError):
    """Detect's command failed; it has said why."""


def embedded(folder: Path, pack: str, *, mirrored: bool) -> bytes:
    """Return the archive that ``functions.detect.embed_folder`` writes, made in a process of its own.

    Raises:
        CannotEmbed: it ended with an error, which it has printed.
    """
    command = [sys.executable, "-m", "functions.detect.embed_folder", str(folder), "--pack", pack]
    command += ["--mirrored"] if mirrored else []
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)  # noqa: S603 - this Python, our own module
    if done.returncode:
        raise CannotEmbed
    return done.stdout


@dataclass(frozen=True)
class LabelledPhotos:
    """The faces of an archive; ``people`` are names in the order of their numbers, ``files`` each face's photo."""

    faces: LabelledFaces
    people: list[str]
    files: list[str]
    model: str


def read_faces(archive: bytes) -> LabelledPhotos:
    """Return the faces of an archive that :func:`embedded` gave, and whose they are by their folders."""
    with np.load(io.BytesIO(archive), allow_pickle=False) as columns:
        embeddings, photo, model = columns["embedding"], columns["photo"], str(columns["model"])
        files = [str(path) for path in columns["path"]]
        whose = whose_faces(columns["person"], photo, embeddings)
        people = sorted(set(whose) - {""})
        number = {name: index for index, name in enumerate(people)}
        states = [
            FaceState(
                uuid5(_NAMES, f"face/{row}"),
                uuid5(_NAMES, f"photo/{photo[row]}"),
                quality_score=float(columns["score"][row]),
                sharpness=float(columns["sharpness"][row]),
                yaw=float(columns["yaw"][row]),
                pitch=float(columns["pitch"][row]),
                roll=float(columns["roll"][row]),
                size_px=float(columns["size_px"][row]),
            )
            for row in range(len(whose))
        ]
    person = np.array([number.get(name, NOBODY) for name in whose], dtype=np.int64)
    return LabelledPhotos(LabelledFaces(embeddings, person, photo, states), people, files, model)


def without_misplaced(photos: LabelledPhotos) -> tuple[LabelledFaces, list[str]]:
    """Leave out faces that lie in another person's folder; return the others, and a line about each left out."""
    found = misplaced(photos.faces)
    lines = [
        f"{photos.files[one.row]} is left out: the face taken for {photos.people[one.person]} is more like "
        f"{photos.people[one.other]} ({one.other_cosine:.2f}) than like {photos.people[one.person]}'s other faces "
        f"({one.own_cosine:.2f}): move the photo to the right folder, or remove it"
        for one in found
    ]
    return photos.faces.without_rows([one.row for one in found]), lines


def report(likeness: Likeness, constants: PackConstants, left_out: list[LeftOut], people: list[str]) -> str:
    """Format the measurements and the proposed constants as text."""
    lines = [f"{'cosines of':28} {'pairs':>8} {'mean':>6} {'dev.':>6}  quantiles {_percents(_QUANTILES)}"]
    for name, cosines in (
        ("one person", likeness.one_person),
        ("strangers", likeness.strangers),
        ("a face, its person's mean", likeness.own_mean),
        ("a face, a stranger's mean", likeness.face_to_mean),
        ("strangers' means", likeness.means),
    ):
        lines.append(_row(name, cosines))
    lines += ["", f"{'proposed':24} {'cosine':>7}  strangers above   of one person above"]
    cluster = constants.cluster
    for field in ("apart", "join", "pair", "same_face"):
        value = float(getattr(cluster, f"{field}_similarity"))
        passing, kept = float((likeness.strangers >= value).mean()), float((likeness.one_person >= value).mean())
        lines.append(f"{field + '_similarity':24} {value:7.3f}  {passing:15.4%}   {kept:19.1%}")
    lines.append(f"{'max_distance':24} {cluster.max_distance:7.3f}")
    for field in ("fragment_similarity", "suggestion_similarity", "merge_similarity"):
        lines.append(f"{field:24} {getattr(cluster, field):7.3f}")
    if constants.search and constants.across_events:
        for name, value in (("likely", constants.search.likely), ("possible", constants.search.possible)):
            found = float((likeness.own_mean >= value).mean())
            lines.append(f"{'search: ' + name:24} {value:7.3f}  {found:.1%} of the faces find their person")
        lines.append(f"{'across events':24} {constants.across_events.similarity:7.3f}")
    lines += ["", *_scores(left_out, people)]
    return "\n".join(lines)


def _row(name: str, cosines: NDArray[np.float32]) -> str:
    measured = spread(cosines)
    quantiles = " ".join(f"{value:6.3f}" for value in np.quantile(cosines, _QUANTILES))
    return f"{name:28} {measured.pairs:8} {measured.mean:6.3f} {measured.deviation:6.3f}            {quantiles}"


def _percents(parts: tuple[float, ...]) -> str:
    return " ".join(f"{part:6.2%}" for part in parts)


def _scores(left_out: list[LeftOut], people: list[str]) -> list[str]:
    if not left_out:
        return ["nobody could be left out: too few people to measure without one of them"]
    precision = float(np.mean([one.precision for one in left_out]))
    recall = float(np.mean([one.recall for one in left_out]))
    lines = [f"each of {len(left_out)} people left out in turn: BCubed precision {precision:.3f}, recall {recall:.3f}"]
    worst = sorted(left_out, key=lambda one: (one.precision, one.recall))[:_WORST]
    return lines + [
        f"  {people[one.person]}: precision {one.precision:.3f}, recall {one.recall:.3f}"
        for one in worst
        if one.precision < 1.0 or one.recall < 1.0
    ]


def _cannot_be_written(target: Path) -> str | None:
    """Why a file cannot be put there, asked before minutes are spent on photos; None when it can."""
    if target.is_dir():
        return f"{target} is a folder: name a file for --out"
    if not target.parent.is_dir():
        return f"there is no folder {target.parent} for --out: make it, or name another"
    if not os.access(target if target.exists() else target.parent, os.W_OK):
        return f"{target} cannot be written: name another file for --out"
    return None


def main(arguments: list[str] | None = None) -> int:
    """Calibrate a pack; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m functions.cluster.calibrate",
        description="Measure a model pack on labelled photos and write its constants.",
    )
    parser.add_argument("folder", type=Path, help="a folder for each person, photos of that person within")
    parser.add_argument("--pack", default=os.environ.get("FACE_PACK", "mini"), help="the model pack (FACE_PACK)")
    parser.add_argument("--mirrored", action="store_true", help="embed each face together with its mirror image")
    parser.add_argument("--out", type=Path, default=None, help="the file to write; default calibration-PACK.json")
    parser.add_argument("--source", default=None, help="what the photos were, for whoever reads a run's report")
    options = parser.parse_args(arguments)
    target = options.out or Path(f"calibration-{options.pack}{'-mirrored' if options.mirrored else ''}.json")
    problem = _cannot_be_written(target)
    if problem:
        sys.stderr.write(f"error: {problem}\n")
        return 1
    try:
        photos = read_faces(embedded(options.folder, options.pack, mirrored=options.mirrored))
        faces, left_out = without_misplaced(photos)
        sys.stdout.write("".join(f"{line}\n" for line in left_out) + ("\n" if left_out else ""))
        likeness = likeness_of(faces)
    except CannotEmbed:
        return 1
    except TooLittle as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    pack, people = photos.model.partition("/")[0], photos.people
    source = options.source or f"{np.count_nonzero(faces.person != NOBODY)} labelled faces of {len(people)} people"
    constants = propose(likeness, constants_of(pack).cluster, source)
    sys.stdout.write(report(likeness, constants, leave_one_out(faces, pack), people) + "\n")
    target.write_text(calibration_for(pack, constants).model_dump_json(indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"\nwritten to {target}: give its content to FACE_CALIBRATION (Terraform: face_calibration)\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
