"""What detect reads from its environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from shared.photo_settings import PhotoSettings
from shared.settings import BucketName


class DetectSettings(PhotoSettings):
    """Each field is the environment variable of the same name in capitals."""

    photos_bucket: BucketName
    derived_bucket: BucketName
    face_pack: Literal["buffalo_l", "auraface", "mini"] = "buffalo_l"
    # Every face is embedded together with its mirror image: another model by name, never mixed with the plain one.
    face_mirrored: bool = False
    # Folder that holds models/{pack}/*.onnx; in the image the pack is baked in here.
    face_model_dir: Path = Path(".trombi")
    face_threads: Annotated[int, Field(ge=0, le=256, description="0: one per core")] = 0
    # How many photos are decoded and looked at side by side; they share the threads.
    face_photos_at_once: Annotated[int, Field(ge=1, le=64)] = 2
    # Beside those, photos that are read, wait for room or are written; whoever comes beyond is answered 429 at once.
    # Requests served at a time (THREADS) have to be more than both together, or nobody could be answered.
    face_photos_waiting: Annotated[int, Field(ge=0, le=64)] = 2
    # A photo that waits for room for longer is answered 429: what is left of the 300 s that the bus grants has to
    # suffice for its own work.
    face_patience: Annotated[float, Field(gt=0, le=240, description="seconds")] = 60
