"""Pictures that the installed packages ship: real faces and real landscapes without a download.

insightface brings a group photo and a portrait, scikit-image and scikit-learn bring the rest. Nothing is
imported from them; only their folders are looked at.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Final


class SamplePictureError(FileNotFoundError):
    """A package that should bring a picture is not installed, or no longer brings it."""


@dataclass(frozen=True)
class SamplePicture:
    """A picture file and how many faces a person sees in it."""

    path: Path
    faces: int


_INSIGHTFACE: Final = "data/images"
_SCIKIT_IMAGE: Final = "data"
_SCIKIT_LEARN: Final = "datasets/images"

# Photographs, scans and drawings without a person. Left out: coins.png (heads in relief) and camera.png (a man).
_FACE_FREE: Final = (
    ("sklearn", _SCIKIT_LEARN, "china.jpg"),
    ("sklearn", _SCIKIT_LEARN, "flower.jpg"),
    ("skimage", _SCIKIT_IMAGE, "chelsea.png"),
    ("skimage", _SCIKIT_IMAGE, "coffee.png"),
    ("skimage", _SCIKIT_IMAGE, "rocket.jpg"),
    ("skimage", _SCIKIT_IMAGE, "hubble_deep_field.jpg"),
    ("skimage", _SCIKIT_IMAGE, "motorcycle_left.png"),
    ("skimage", _SCIKIT_IMAGE, "moon.png"),
    ("skimage", _SCIKIT_IMAGE, "brick.png"),
    ("skimage", _SCIKIT_IMAGE, "grass.png"),
    ("skimage", _SCIKIT_IMAGE, "gravel.png"),
    ("skimage", _SCIKIT_IMAGE, "retina.jpg"),
    ("skimage", _SCIKIT_IMAGE, "ihc.png"),
    ("skimage", _SCIKIT_IMAGE, "cell.png"),
    ("skimage", _SCIKIT_IMAGE, "clock_motion.png"),
    ("skimage", _SCIKIT_IMAGE, "page.png"),
    ("skimage", _SCIKIT_IMAGE, "text.png"),
    ("skimage", _SCIKIT_IMAGE, "horse.png"),
)


def group_photo() -> SamplePicture:
    """Return a group photo of six people, 1280 x 886."""
    return _picture("insightface", _INSIGHTFACE, "t1.jpg", 6)


def portraits() -> tuple[SamplePicture, ...]:
    """Return pictures of one person each, of three different people."""
    return (
        _picture("skimage", _SCIKIT_IMAGE, "astronaut.png", 1),
        _picture("insightface", _INSIGHTFACE, "Tom_Hanks_54745.png", 1),
        _picture("skimage", _SCIKIT_IMAGE, "camera.png", 1),
    )


def face_free_pictures() -> tuple[SamplePicture, ...]:
    """Return pictures without a face, landscapes and still lifes first, at least ten."""
    return tuple(_picture(package, folder, name, 0) for package, folder, name in _FACE_FREE)


def _picture(package: str, folder: str, name: str, faces: int) -> SamplePicture:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        message = f"the Python package {package} is not installed; it brings the picture {name}: run make setup"
        raise SamplePictureError(message)
    path = Path(spec.submodule_search_locations[0]) / folder / name
    if not path.is_file():
        message = f"the Python package {package} does not bring {folder}/{name} any more"
        raise SamplePictureError(message)
    return SamplePicture(path, faces)
