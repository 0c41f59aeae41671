"""``make bench-detect``: Trombi's detection beside insightface's own `FaceAnalysis.get`, with the same weights.

Both get the bytes of the same JPEG files. insightface decodes them with cv2 and takes one photo after the other,
as its documentation shows; Trombi decodes, finds, embeds and cuts thumbnails as the function does, with as many
photos at once as there are threads. Runs alternate and the best of each counts, so that what else the machine
does meanwhile falls on both.

Packs: `mini`, and a twin of buffalo_l: the same layers with random weights (benchmarks/twin.py), which takes the looks
that `mini` took and finds what it found. Photos of 12 and 24 megapixels are made from smaller ones by enlarging them
and adding grain.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from insightface.app import FaceAnalysis
from PIL import Image
from threadpoolctl import threadpool_limits

from benchmarks.twin import RecordedLooks, build_twin
from functions.detect import packs
from functions.detect.align import ALIGNED_SIDE
from functions.detect.boxes import Box, box_iou
from functions.detect.engine import ENOUGH_TO_DETECT, DetectionResult, Engine
from functions.detect.prelu import without_prelu
from shared.decode import decode
from tests.pictures import group_photo, labelled_photos, portraits, shared_photos

Pixels = npt.NDArray[np.uint8]

_TWIN = "buffalo_l twin"
_MEGAPIXELS = (12, 24)
_SMALL_FACE, _SAME_BOX, _SAME_FACE = 40, 0.9, 0.995


# ---------------------------------------------------------------- photos


def _photos(megapixels: float | None, *, grain: float = 10.0) -> dict[str, list[bytes]]:
    """JPEG files by kind (groups, singles); as they are, or enlarged to so many megapixels."""
    labelled = labelled_photos()
    groups = [group_photo().path, *(labelled.groups if labelled else ())]
    singles = [picture.path for picture in portraits()[:2]]
    if labelled:
        one_of_each = {person: path for path, person in labelled.singles.items()}
        singles += list(one_of_each.values())[:4]
    pictures = {
        "groups": [_picture(path) for path in groups],
        "singles": [_framed(_picture(path)) for path in singles],
    }
    return {
        kind: [_jpeg(picture if megapixels is None else _enlarged(picture, megapixels, grain)) for picture in those]
        for kind, those in pictures.items()
    }


def _picture(path: Path) -> Pixels:
    return np.asarray(Image.open(path).convert("RGB"))


def _framed(picture: Pixels) -> Pixels:
    """Make a 4:3 photo whose left two thirds are a portrait; the rest repeats the portrait's edge."""
    height, width = picture.shape[:2]
    wanted = round(height * 4 / 3)
    return np.asarray(np.pad(picture, ((0, 0), (0, max(0, wanted - width)), (0, 0)), mode="edge"))


def _enlarged(picture: Pixels, megapixels: float, grain: float) -> Pixels:
    """Enlarged, with a camera's grain: without it a JPEG would be far smaller than a camera's, and faster to decode."""
    factor = float(np.sqrt(megapixels * 1e6 / (picture.shape[0] * picture.shape[1])))
    large = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    noise = np.random.default_rng(11).normal(0, grain, large.shape[:2]).astype(np.float32)
    enlarged: Pixels = np.clip(large + cv2.GaussianBlur(noise, (0, 0), 0.7)[..., None], 0, 255).astype(np.uint8)
    return enlarged


def _jpeg(picture: Pixels) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=90)
    return stream.getvalue()


# ---------------------------------------------------------------- the two sides


class _Trombi:
    """Trombi's detection as the function has it, on as many photos at once as there are threads."""

    def __init__(self, folder: Path, threads: int, recorded: RecordedLooks | None = None) -> None:
        self._threads, self._recorded = threads, recorded
        self._engine = Engine(folder, threads=threads, photos_at_once=threads)
        if recorded is not None:
            self._engine._detector = recorded.instead_of(self._engine._detector)  # noqa: SLF001 - the twin finds nobody

    def record(self, files: Sequence[bytes]) -> RecordedLooks:
        """Return the detector's raw outputs, one entry for each pass over the photo."""
        looks = RecordedLooks()
        detector, self._engine._detector = self._engine._detector, looks.of(self._engine._detector)  # noqa: SLF001
        for data in files:
            looks.now_at(data)
            self.look_at(data)
        self._engine._detector = detector  # noqa: SLF001
        return looks

    def look_at(self, data: bytes) -> DetectionResult:
        """Detect one file; the result's timings have "decode_ms" too."""
        if self._recorded is not None:
            self._recorded.now_at(data)
        started = time.perf_counter()
        photo = decode(data, enough=ENOUGH_TO_DETECT)
        decoded = time.perf_counter()
        result = self._engine.detect(photo)
        return DetectionResult(
            result.faces, {"decode_ms": (decoded - started) * 1000, **result.timings}, result.dropped
        )

    def look_at_all(self, files: Sequence[bytes]) -> list[DetectionResult]:
        """Detect all, several at once."""
        cv2.setNumThreads(1)
        if self._threads == 1:
            return [self.look_at(data) for data in files]
        with ThreadPoolExecutor(self._threads) as pool:
            return list(pool.map(self.look_at, files))


class _Insightface:
    """insightface as its documentation shows it, with that many threads for each network."""

    def __init__(self, folder: Path, threads: int, recorded: RecordedLooks | None = None) -> None:
        self._threads, self._recorded = threads, recorded
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._analysis = FaceAnalysis(
            str(folder),
            allowed_modules=["detection", "recognition"],
            providers=["CPUExecutionProvider"],
            sess_options=options,
        )
        self._analysis.prepare(ctx_id=0)
        if recorded is not None:
            self._analysis.det_model = recorded.instead_of(self._analysis.det_model)

    def record(self, files: Sequence[bytes]) -> RecordedLooks:
        """Return the detector's raw output."""
        looks = RecordedLooks()
        detector, self._analysis.det_model = self._analysis.det_model, looks.of(self._analysis.det_model)
        for data in files:
            looks.now_at(data)
            self.look_at(data)
        self._analysis.det_model = detector
        return looks

    def look_at(self, data: bytes) -> list[Any]:
        """Decode with cv2, then `get`."""
        if self._recorded is not None:
            self._recorded.now_at(data)
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        return list(self._analysis.get(picture))

    def look_at_all(self, files: Sequence[bytes]) -> list[list[Any]]:
        """Detect all, one after the other."""
        cv2.setNumThreads(self._threads)
        return [self.look_at(data) for data in files]


# ---------------------------------------------------------------- what is measured


def _compare(mini: Path, folder: Path, threads: int, rounds: int) -> list[dict[str, Any]]:
    """Images a second of both, by kind and size of photo; in one process, in turns, the best of each."""
    rows = []
    for megapixels in _MEGAPIXELS:
        photos = _photos(megapixels)
        everything = [data for files in photos.values() for data in files]
        recorded: tuple[RecordedLooks | None, RecordedLooks | None] = (None, None)
        if folder != mini:
            recorded = _Trombi(mini, 1).record(everything), _Insightface(mini, 1).record(everything)
        ours, theirs = _Trombi(folder, threads, recorded[0]), _Insightface(folder, threads, recorded[1])
        for kind, files in photos.items():
            seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
            results: list[DetectionResult] = []
            faces = 0
            for _ in range(rounds):
                started = time.perf_counter()
                faces = sum(len(found) for found in theirs.look_at_all(files))
                between = time.perf_counter()
                results = ours.look_at_all(files)
                seconds["theirs"].append(between - started)
                seconds["ours"].append(time.perf_counter() - between)
            rows.append(
                {
                    "photos": f"{megapixels} MP {kind}",
                    "theirs": len(files) / min(seconds["theirs"]),
                    "ours": len(files) / min(seconds["ours"]),
                    "their_faces": faces,
                    "our_faces": sum(len(result.faces) for result in results),
                    "stages": _mean_timings(results),
                }
            )
    return rows


def _mean_timings(results: Sequence[DetectionResult]) -> dict[str, float]:
    stages = {stage for result in results for stage in result.timings}
    return {stage: sum(result.timings.get(stage, 0.0) for result in results) / len(results) for stage in stages}


def _sameness(mini: Path, files: Mapping[str, bytes]) -> dict[str, Any]:
    """How insightface's faces come out here: boxes that overlap by 0.9, cosines of the embeddings."""
    ours, theirs = _Trombi(mini, 1), _Insightface(mini, 1)
    faces, parts, same_box, cosines, more = 0, 0, 0, [], 0
    for data in files.values():
        found = ours.look_at(data).faces
        width, height = Image.open(io.BytesIO(data)).size
        expected = theirs.look_at(data)
        more += max(0, len(found) - len(expected))
        corners = [tuple(float(value) for value in face.bbox) for face in expected]
        boxes = [Box.from_corners((x1, y1, x2, y2), width, height) for x1, y1, x2, y2 in corners]
        for face, box in zip(expected, boxes, strict=True):
            overlap, nearest = max(((box_iou(box, one.box), one) for one in found), key=lambda pair: pair[0])
            if overlap < _SAME_BOX and any(_is_part(box, other) for other in boxes):
                parts += 1
                continue
            faces += 1
            same_box += overlap >= _SAME_BOX
            if min(box.w * width, box.h * height) >= _SMALL_FACE:
                cosines.append(_cosine(nearest.embedding, face.normed_embedding))
    return {
        "photos": len(files),
        "faces": faces,
        "parts": parts,
        "more": more,
        "same_box": same_box,
        "cosine_min": min(cosines),
        "cosine_mean": sum(cosines) / len(cosines),
        "cosine_same": sum(cosine >= _SAME_FACE for cosine in cosines),
        "cosines": len(cosines),
    }


def _nearness(mini: Path, originals: Mapping[str, bytes], noisy: Mapping[str, bytes]) -> tuple[float, float]:
    """Mean cosine of the faces of noisy enlargements to those of the originals: here, and with insightface.

    Faces are matched from left to right; a photo in which the numbers of faces differ is left out.
    """
    ours, theirs = _Trombi(mini, 1), _Insightface(mini, 1)
    cosines: list[tuple[float, float]] = []
    for name, data in noisy.items():
        reference, here = ours.look_at(originals[name]).faces, ours.look_at(data).faces
        there = sorted(theirs.look_at(data), key=lambda face: float(face.bbox[0]))
        if len(reference) == len(here) == len(there):
            cosines += [
                (_cosine(one.embedding, own.embedding), _cosine(one.embedding, other.normed_embedding))
                for one, own, other in zip(reference, here, there, strict=True)
            ]
    means = np.mean(cosines, axis=0)
    return float(means[0]), float(means[1])


def _cosine(ours: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    """Of two embeddings of norm 1; the second may lack the zeros that the first is padded with."""
    return float(ours[: len(other)] @ other)


def _is_part(box: Box, of: Box) -> bool:
    """Say whether a box lies for the most part in a larger one."""
    width = min(box.x + box.w, of.x + of.w) - max(box.x, of.x)
    height = min(box.y + box.h, of.y + of.h) - max(box.y, of.y)
    return of.area > box.area and min(width, height) > 0 and width * height > 0.6 * box.area


def _first_face(mini: Path, folder: Path, side: str) -> None:
    """Load a pack, detect one photo, say so, then detect the others and tell the peak of memory."""
    from_parent = json.loads(sys.stdin.readline())
    files = [Path(path).read_bytes() for path in from_parent]
    recorded = None
    if folder != mini:
        recorded = RecordedLooks()
        for data in files:
            recorded.plant(data, np.array([[300, 200, 500, 460, 0.9]], np.float32), _FACE)
    made = _Trombi(folder, 2, recorded) if side == "ours" else _Insightface(folder, 2, recorded)
    made.look_at(files[0])
    print(_FIRST, flush=True)
    made.look_at_all(files)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    print(int(peak.split()[1]) * 1024, flush=True)


_FIRST = "first face"
_FACE = np.array([[[352, 294], [448, 294], [400, 352], [360, 402], [440, 402]]], np.float32)


def _cold_start(side: str, mini: Path, folder: Path, files: Sequence[Path]) -> tuple[float, int]:
    """Seconds from the start of a process to its first face, and its peak of memory in bytes."""
    command = [sys.executable, "-m", "benchmarks.detect", "--first-face", side, str(mini), str(folder)]
    started = time.perf_counter()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - this very module
        if process.stdin is None or process.stdout is None:
            message = "the process has no pipes"
            raise RuntimeError(message)
        process.stdin.write(json.dumps([str(path) for path in files]) + "\n")
        process.stdin.close()
        lines = iter(process.stdout)
        if next(lines).strip() != _FIRST:
            message = "the process did not find a face"
            raise RuntimeError(message)
        seconds = time.perf_counter() - started
        return seconds, int(next(lines))


def _multiplications(path: Path, shape: tuple[int, ...]) -> int:
    """Multiply-adds of a network's convolutions and fully connected layers for an input of that shape."""
    model = onnx.load_model(str(path))
    for dimension, size in zip(model.graph.input[0].type.tensor_type.shape.dim, shape, strict=True):
        dimension.dim_value = size
    graph = onnx.shape_inference.infer_shapes(model).graph
    weights = {constant.name: tuple(constant.dims) for constant in graph.initializer}
    shapes = {
        value.name: [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        for value in (*graph.value_info, *graph.output, *graph.input)
    }
    total = 0
    for node in graph.node:
        if node.op_type == "Conv":
            total += int(np.prod(shapes[node.output[0]])) * int(np.prod(weights[node.input[1]][1:]))
        elif node.op_type == "ConvTranspose":
            total += int(np.prod(shapes[node.input[0]])) * int(np.prod(weights[node.input[1]][1:]))
        elif node.op_type == "Gemm":
            total += shape[0] * int(np.prod(weights[node.input[1]]))
    return total


def _sgemm_rate(threads: int) -> float:
    """Multiply-adds a second of numpy's product of two 1,536 x 1,536 float32 matrices: what the machine can do."""
    side = 1536
    one = np.random.default_rng(0).normal(size=(side, side)).astype(np.float32)
    with threadpool_limits(threads):
        seconds = []
        for _ in range(8):
            started = time.perf_counter()
            np.matmul(one, one)
            seconds.append(time.perf_counter() - started)
    return float(side**3 / min(seconds))


def _roofline(folder: Path, threads: int) -> dict[str, float]:
    """Share of the machine's sgemm rate that each network reaches, run as Trombi runs it: one thread a run."""
    rate = _sgemm_rate(1)
    shares = {"sgemm GFLOP/s": 2 * rate / 1e9, "threads": threads}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    for path in sorted(folder.glob("*.onnx")):
        session = onnxruntime.InferenceSession(
            without_prelu(path) or path.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
        entry = session.get_inputs()[0]
        shape = (1, 3, 112, 112) if entry.shape[2] == ALIGNED_SIDE else (1, 3, 480, 640)
        data = np.random.default_rng(0).normal(0, 0.5, shape).astype(np.float32)
        seconds = []
        for _ in range(8):
            started = time.perf_counter()
            session.run(None, {entry.name: data})
            seconds.append(time.perf_counter() - started)
        needed = _multiplications(path, shape)
        shares[f"{path.stem} GFLOP"] = 2 * needed / 1e9
        shares[f"{path.stem} ms"] = min(seconds) * 1000
        shares[f"{path.stem} share"] = needed / min(seconds) / rate
    return shares


# ---------------------------------------------------------------- the report


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detect", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of each measurement, the best counts (%(default)s)")
    parser.add_argument("--pack", choices=("mini", "twin"), help="one of them alone")
    parser.add_argument("--first-face", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    # insightface's own alignment calls a function that scikit-image is about to remove.
    warnings.simplefilter("ignore", FutureWarning)
    onnxruntime.set_default_logger_severity(3)
    if arguments.first_face:
        side, mini, folder = arguments.first_face
        _first_face(Path(mini), Path(folder), side)
        return

    mini = packs.fetch("mini", report=print)
    cores = len(os.sched_getaffinity(0))
    print(f"\nmachine        {cores} cores, {_cpu()}, load {os.getloadavg()[0]:.1f}")
    if arguments.pack != "twin":
        _print_sameness(mini)
    with tempfile.TemporaryDirectory(prefix="trombi-bench-") as temporary:
        folders = {"mini": mini} if arguments.pack != "twin" else {}
        if arguments.pack != "mini":
            folders[_TWIN] = build_twin(Path(temporary) / "twin")
        paths = _written(Path(temporary), _photos(_MEGAPIXELS[0]))
        for pack, folder in folders.items():
            for threads in sorted({1, min(2, cores)}):
                _print_speed(pack, threads, _compare(mini, folder, threads, arguments.rounds))
            print(f"\n{pack}: cold start and memory, 12 MP photos, 2 threads")
            for side, name in (("theirs", "insightface"), ("ours", "trombi")):
                seconds, peak = _cold_start(side, mini, folder, paths)
                print(f"  {name:<12} first face after {seconds:5.1f} s, peak {peak / 2**20:6.0f} MiB")
            print(f"\n{pack}: the networks alone, one thread")
            for name, value in _roofline(folder, 1).items():
                print(f"  {name:<34} {value:8.2f}")


def _print_sameness(mini: Path) -> None:
    folder = shared_photos()
    found = sorted(folder.rglob("*.*g")) if folder else []
    as_they_are = {path.name: path.read_bytes() for path in [*found, group_photo().path, portraits()[0].path]}
    originals = _in_one_row(_photos(None))
    smooth, grainy = _in_one_row(_photos(12, grain=0.0)), _in_one_row(_photos(12))
    for name, some in (("as they are", as_they_are), ("enlarged to 12 MP", smooth), ("12 MP with grain", grainy)):
        same = _sameness(mini, some)
        print(
            f"same as insightface, {same['photos']} photos {name}: {same['same_box']} of {same['faces']} boxes overlap "
            f"by {_SAME_BOX}, cosine >= {_SAME_FACE} for {same['cosine_same']} of {same['cosines']} faces of "
            f"{_SMALL_FACE} px and more (least {same['cosine_min']:.4f}, mean {same['cosine_mean']:.4f}); parts of "
            f"faces that insightface takes for faces: {same['parts']}, found here alone: {same['more']}"
        )
    ours, theirs = _nearness(mini, originals, grainy)
    print(
        f"nearness of 12 MP photos with grain to the small photos without (mean cosine over faces): "
        f"insightface {theirs:.4f}, trombi {ours:.4f}"
    )


def _in_one_row(photos: Mapping[str, Sequence[bytes]]) -> dict[str, bytes]:
    return {f"{kind} {number}": data for kind, files in photos.items() for number, data in enumerate(files)}


def _print_speed(pack: str, threads: int, rows: Sequence[Mapping[str, Any]]) -> None:
    print(f"\n{pack}, {threads} thread{'s' if threads > 1 else ''}: images/s; milliseconds a photo by stage")
    print(f"  {'':<16}{'insightface':>12}{'trombi':>8}{'ratio':>7}   faces   stages")
    for row in rows:
        stages = ", ".join(
            f"{stage} {row['stages'][f'{stage}_ms']:.0f}"
            for stage in ("decode", "detect", "decode_again", "embed", "thumbnail")
            if f"{stage}_ms" in row["stages"]
        )
        print(
            f"  {row['photos']:<16}{row['theirs']:12.2f}{row['ours']:8.2f}{row['ours'] / row['theirs']:7.2f}"
            f"{row['their_faces']:5d}/{row['our_faces']:<3d}  {stages}"
        )


def _written(folder: Path, photos: Mapping[str, Sequence[bytes]]) -> list[Path]:
    paths = []
    for number, data in enumerate(data for files in photos.values() for data in files):
        paths.append(folder / f"{number}.jpg")
        paths[-1].write_bytes(data)
    return paths


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
