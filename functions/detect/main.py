"""Detect's push entry: messages about photos come in, each leaves its faces in the database."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import flask
import functions_framework

from functions.detect import packs
from functions.detect.engine import Engine
from functions.detect.pipeline import Detection
from functions.detect.settings import DetectSettings
from shared.contracts import DetectRequested, StorageNotification
from shared.database import Database
from shared.errors import SettingsError
from shared.log import logger, start_logging
from shared.outbox import Outbox
from shared.publish import PubSubPublisher
from shared.push import Delivery, Handler
from shared.service import Service, check_at_start, made_once
from shared.storage import CloudStorage


@made_once
def service() -> Service:
    """Everything this process needs, made on the first request (a worker forks after import)."""
    settings = DetectSettings.from_environment()
    start_logging("detect", settings.log_level)
    pack, directory = _verified_pack(settings.face_pack, settings.face_model_dir, mirrored=settings.face_mirrored)
    logger().info("model pack", pack=pack.name, model=pack.model_id, licence=pack.licence, notice=pack.notice)
    engine = Engine(
        directory,
        threads=settings.face_threads or len(os.sched_getaffinity(0)),
        photos_at_once=settings.face_photos_at_once,
        mirrored=pack.mirrored,
    )
    database = Database(settings.database_url, pool_size=settings.database_pool_size)
    objects = CloudStorage(settings.google_cloud_project)
    outbox = Outbox(database, PubSubPublisher(settings.google_cloud_project), objects, settings.derived_bucket)
    detection = Detection(database, objects, outbox, engine, pack.model_id, settings)

    def uploaded(delivery: Delivery) -> None:
        detection.uploaded(StorageNotification.parse(delivery.data, delivery.attributes))

    def requested(delivery: Delivery) -> None:
        detection.requested(DetectRequested.parse(delivery.data, delivery.attributes))

    routes: dict[str, Handler] = {"/media-uploads": uploaded, "/detect-requests": requested}
    return Service(routes, settings.google_cloud_project)


@functions_framework.http
def main(request: flask.Request) -> flask.Response:
    """Serve ``POST /media-uploads``, ``POST /detect-requests`` and ``GET /healthz``."""
    return service().answer(request)


@cache
def _verified_pack(name: str, directory: Path, *, mirrored: bool) -> tuple[packs.Pack, Path]:
    """Find and verify the model pack; its files are hashed once, before workers fork and inherit the result.

    Raises:
        PackError: unknown, missing or damaged; nothing is cached then.
    """
    pack = packs.find(name, mirrored=mirrored)
    return pack, packs.verify(pack, directory)


def _check_settings() -> None:
    """Read the settings, and verify the model pack that they name.

    Raises:
        SettingsError: a setting is wrong, or the pack is not where FACE_MODEL_DIR says.
    """
    settings = DetectSettings.from_environment()
    try:
        _verified_pack(settings.face_pack, settings.face_model_dir, mirrored=settings.face_mirrored)
    except packs.PackError as error:
        raise SettingsError(str(error)) from None


check_at_start(__name__, "detect", _check_settings)
