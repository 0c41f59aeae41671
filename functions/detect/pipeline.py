"""One photo: from a message on the bus to rows of faces. The steps read from top to bottom.

accept (consent, job) → read → decode → detect → thumbnails → write (faces, job, outgoing message).

Nothing is held between the first transaction and the last: whatever happened meanwhile (consent withdrawn,
photo replaced or deleted, the same message handled by another instance) is looked at again before writing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from functions.detect import store
from functions.detect.engine import ENOUGH_TO_DETECT, DetectedFace, Engine
from functions.detect.pixel_budget import PixelBudget, Places
from functions.detect.redetection import Redetection, recognise_known_faces
from functions.detect.settings import DetectSettings
from functions.detect.store import Photo
from shared import consent, job_ledger
from shared.contracts import DetectRequested, StorageNotification
from shared.database import Connection, Database, again_on_conflict
from shared.decode import BadImage, DecodedPhoto, DecodeLimits, NotAnImage, decode, pixel_count
from shared.errors import Busy, Permanent, Retryable
from shared.job_ledger import Job
from shared.log import log_context, logger
from shared.outbox import Outbox
from shared.storage import ObjectMissing, ObjectStore

_REPLACED = "replaced by a newer upload"
_DELETED = "the photo was deleted"
# In place of a generation: without consent the bucket is not asked.
_NOT_LOOKED_FOR = 0
# Matching faces is repeated when another instance wrote the same photo meanwhile; that settles at once.
_MATCHING_TRIES = 5


@dataclass(frozen=True)
class Work:
    """A job that was accepted, and the object it reads."""

    job: Job
    event_id: UUID
    media_id: UUID
    bucket: str
    object_name: str
    generation: int


@dataclass
class Stopwatch:
    """Milliseconds by stage, for the job's result."""

    milliseconds: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block as one stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.milliseconds[name] = round((time.perf_counter() - start) * 1000, 1)

    def note(self, milliseconds: Mapping[str, float]) -> None:
        """Add stages that were timed elsewhere."""
        self.milliseconds.update({stage: round(duration, 1) for stage, duration in milliseconds.items()})

    def report(self) -> dict[str, float]:
        """All stages, and the total so far."""
        return {**self.milliseconds, "total": round((time.perf_counter() - self.started) * 1000, 1)}


@dataclass(frozen=True)
class _Found:
    """What a photo showed."""

    decoded: DecodedPhoto
    faces: tuple[DetectedFace, ...]


class Detection:
    """The use case. One instance serves a process, on as many threads as it has requests."""

    def __init__(
        self,
        database: Database,
        objects: ObjectStore,
        outbox: Outbox,
        engine: Engine,
        model: str,
        settings: DetectSettings,
    ) -> None:
        self._database = database
        self._objects = objects
        self._outbox = outbox
        self._engine = engine
        self._model = model
        self._settings = settings
        self._limits = DecodeLimits(max_pixels=settings.max_photo_pixels)
        # While one photo is decoded another is looked at; the largest that is let in has the memory to itself.
        self._room = PixelBudget(settings.max_photo_pixels, settings.face_photos_at_once, settings.face_patience)
        # Whoever is beyond these is told so at once: waiting unseen would use up the time that the bus grants.
        self._places = Places(settings.face_photos_at_once + settings.face_photos_waiting)

    # ------------------------------------------------------------ messages

    def uploaded(self, notification: StorageNotification) -> None:
        """An object was created or deleted.

        Raises:
            Busy: as many photos are inside as there are places, or this one waited too long for room.
            Retryable: something is away; the job keeps the error.
        """
        if notification.event_type == "OBJECT_METADATA_UPDATE":
            return
        if notification.event_type == "OBJECT_FINALIZE":
            with self._places.taken():
                work = self._accept_upload(notification)
                if work is not None:
                    self._detect(work)
        else:
            self._delete(notification)
        self._outbox.drain_quietly()

    def requested(self, message: DetectRequested) -> None:
        """Somebody asks for a known photo.

        Raises:
            Busy: as for an upload.
            Retryable: something is away; the job keeps the error.
        """
        with self._places.taken():
            work = self._accept_request(message)
            if work is not None:
                self._detect(work)
        self._outbox.drain_quietly()

    # ------------------------------------------------------------ accept

    @again_on_conflict
    def _accept_upload(self, notification: StorageNotification) -> Work | None:
        """The work that an upload asks for; None when there is none (refused, stale or done already)."""
        with self._database.transaction() as connection:
            try:
                event_id, media_id, photo = self._place(connection, notification)
            except Permanent as refusal:
                _record_unplaced(connection, notification, refusal)
                return None
            generation = notification.generation
            if generation <= photo.deleted_generation or generation < (photo.generation or 0):
                logger().info("an older generation of the photo: nothing to do", media_id=str(media_id))
                return None
            job = store.job_of_object(connection, photo, generation)
            if generation != photo.generation:
                store.end_open_jobs(connection, media_id, generation - 1, _REPLACED)
                store.set_object(connection, photo, notification.bucket, notification.object_name, generation)
            if job.has_ended or not self._start(connection, photo, job):
                return None
            return Work(job, event_id, media_id, notification.bucket, notification.object_name, generation)

    def _place(self, connection: Connection, notification: StorageNotification) -> tuple[UUID, UUID, Photo]:
        """The photo that an object belongs to.

        Raises:
            Permanent: another bucket, no ids, an unknown event, or another event's photo.
        """
        if notification.bucket != self._settings.photos_bucket:
            raise Permanent("unknown_object", "the object is not in the photos bucket")
        event_id, media_id = notification.photo_ids()
        if not consent.event_exists(connection, event_id):
            raise Permanent("unknown_event", "no such event: create it before its photos are uploaded")
        photo = store.lock_photo(connection, media_id, event_id)
        if photo is None:
            raise Permanent("unknown_photo", "the photo was removed while its upload was handled")
        return event_id, media_id, photo

    def _start(self, connection: Connection, photo: Photo, job: Job) -> bool:
        """Start the job; False when it was refused, which is then its end."""
        try:
            consent.refuse_without_consent(connection, photo.event_id)
            store.refuse_known_other_model(connection, photo.event_id, self._model)
        except Permanent as refusal:
            self._refuse(connection, job, refusal)
            return False
        job_ledger.start(connection, job)
        return True

    def _refuse(self, connection: Connection, job: Job, refusal: Permanent) -> None:
        logger().warning("photo refused", job_id=str(job.id), code=refusal.code, reason=refusal.reason)
        job_ledger.fail(connection, job, refusal.code, refusal.reason)

    @again_on_conflict
    def _accept_request(self, message: DetectRequested) -> Work | None:
        """The work that a request asks for; None when there is none (refused, stale or done already)."""
        current = self._current_object(message)
        with self._database.transaction() as connection:
            photo, refusal = _photo_of(connection, message)
            job = job_ledger.lock(connection, message.job_id)
            if job is None or job.run != message.run or job.has_ended:
                logger().info("a stale or repeated request: nothing to do", job_id=str(message.job_id))
                return None
            if (job.event_id, job.media_id) != (message.event_id, message.media_id):
                raise Permanent("wrong_event", "the request names another photo than its job does")
            try:
                consent.refuse_without_consent(connection, message.event_id)
                if refusal is not None:
                    raise refusal
                work = _work_of_request(connection, job, photo, current)
            except Permanent as error:
                self._refuse(connection, job, error)
                return None
            if work is None or photo is None or not self._start(connection, photo, job):
                return None
            if photo.generation is None:
                store.set_object(connection, photo, work.bucket, work.object_name, work.generation)
            return work

    def _current_object(self, message: DetectRequested) -> int | None:
        """The generation of the photo's object: as known, or else as the bucket says; None without one."""
        with self._database.transaction() as connection:
            photo, _ = _photo_of(connection, message)
            consents = consent.consents(connection, message.event_id)
        if photo is None or photo.bucket is None or photo.object_name is None:
            return None
        if photo.generation is not None:
            return photo.generation
        if not consents:
            return _NOT_LOOKED_FOR
        try:
            return self._objects.generation(photo.bucket, photo.object_name)
        except ObjectMissing:
            return None

    # ------------------------------------------------------------ detect

    def _detect(self, work: Work) -> None:
        with log_context(job_id=work.job.id, event_id=work.event_id, media_id=work.media_id):
            watch = Stopwatch()
            try:
                found = self._look(work, watch)
                if found is not None:
                    self._keep(work, found, watch)
            except Busy:
                job_ledger.give_back(self._database, work.job)
                raise
            except Exception as error:
                job_ledger.note_error(self._database, work.job.id, error)
                raise

    def _look(self, work: Work, watch: Stopwatch) -> _Found | None:
        """Read, decode and detect; None when the job has ended here, with its reason."""
        try:
            with watch.stage("read"):
                data = self._objects.read(
                    work.bucket, work.object_name, work.generation, max_bytes=self._settings.max_photo_bytes
                )
            with self._room.taken(pixel_count(data)):
                with watch.stage("decode"):
                    decoded = decode(data, self._limits, enough=ENOUGH_TO_DETECT)
                result = self._engine.detect(decoded)
        except ObjectMissing:
            self._end_unread(work)
        except NotAnImage as error:
            self._end_without_faces(work, skipped="not an image", detail=str(error))
        except BadImage as error:
            self._end_without_faces(work, refusal=Permanent(error.code, str(error)))
        except Permanent as refusal:
            self._end_without_faces(work, refusal=refusal)
        else:
            watch.note({stage.removesuffix("_ms"): duration for stage, duration in result.timings.items()})
            if result.dropped:
                logger().error("detections without usable numbers were dropped", dropped=result.dropped)
            return _Found(decoded, result.faces)
        return None

    @again_on_conflict
    def _end_unread(self, work: Work) -> None:
        """The object is gone. What deleted or replaced it has a message of its own: the faces are its business."""
        with self._database.transaction() as connection:
            _, job = self._still_wanted(connection, work)
            if job is not None:
                skipped = "the object was deleted or replaced before it was read"
                job_ledger.complete(connection, job, {"skipped": skipped})

    @again_on_conflict
    def _end_without_faces(
        self, work: Work, *, skipped: str = "", detail: str = "", refusal: Permanent | None = None
    ) -> None:
        with self._database.transaction() as connection:
            photo, job = self._still_wanted(connection, work)
            if photo is None or job is None:
                return
            store.remove_faces_of_earlier_objects(connection, photo, work.generation, self._settings.derived_bucket)
            if refusal is not None:
                self._refuse(connection, job, refusal)
            else:
                job_ledger.complete(connection, job, {"skipped": skipped, "detail": detail})

    # ------------------------------------------------------------ write

    def _keep(self, work: Work, found: _Found, watch: Stopwatch) -> None:
        """Upload thumbnails, then write the faces; again when the photo's faces changed in between."""
        uploaded: dict[str, None] = {}
        for _ in range(_MATCHING_TRIES):
            with self._database.transaction() as connection:
                matched = _match(connection, work, found)
                thumbnails = _thumbnails(work, found, matched)
                uploaded |= dict.fromkeys(thumbnails)
                store.announce_thumbnails(connection, self._settings.derived_bucket, list(uploaded))
            with watch.stage("upload"):
                self._upload_thumbnails(work, thumbnails)
            if self._write(work, found, matched, list(uploaded), watch):
                return
        message = "the photo's faces kept changing while they were written"
        raise Retryable(message)

    def _upload_thumbnails(self, work: Work, thumbnails: Mapping[str, bytes]) -> None:
        derived = self._settings.derived_bucket
        self._outbox.finish_deletions(derived, store.thumbnail_prefix(work.event_id, work.media_id))
        for name, thumbnail in thumbnails.items():
            self._objects.write(derived, name, thumbnail, content_type="image/jpeg")

    @again_on_conflict
    def _write(
        self, work: Work, found: _Found, matched: Redetection, uploaded: Sequence[str], watch: Stopwatch
    ) -> bool:
        """Write faces, job and outgoing message in one transaction; False when the matching is out of date."""
        derived = self._settings.derived_bucket
        with self._database.transaction() as connection:
            photo, job = self._still_wanted(connection, work)
            if photo is not None and job is not None:
                try:
                    consent.refuse_without_consent(connection, work.event_id)
                    store.refuse_other_model(connection, work.event_id, self._model)
                except Permanent as refusal:
                    self._refuse(connection, job, refusal)
                else:
                    # The event's counters are locked from here on: no purge slips in between matching and writing.
                    if _match(connection, work, found) != matched:
                        return False
                    store.write_faces(
                        connection,
                        photo,
                        work.generation,
                        found.faces,
                        matched,
                        model=self._model,
                        derived_bucket=derived,
                    )
                    job_ledger.complete(connection, job, _result(found, matched, self._model, watch))
            store.settle_thumbnails(connection, derived, uploaded)
        return True

    def _still_wanted(self, connection: Connection, work: Work) -> tuple[Photo | None, Job | None]:
        """Photo and job, locked, when this work is still to be written; else None and None.

        It is not when another delivery was faster, or the photo was replaced or deleted meanwhile; in the
        latter case the job ends here, since nobody else will end it.
        """
        photo = store.lock_photo(connection, work.media_id, work.event_id, create=False)
        job = job_ledger.lock(connection, work.job.id)
        if job is None or job.run != work.job.run or job.status != "processing":
            return None, None
        if photo is None or photo.deleted_generation >= work.generation:
            job_ledger.complete(connection, job, {"skipped": _DELETED})
            return None, None
        if photo.generation != work.generation:
            job_ledger.complete(connection, job, {"skipped": _REPLACED})
            return None, None
        return photo, job

    # ------------------------------------------------------------ delete

    @again_on_conflict
    def _delete(self, notification: StorageNotification) -> None:
        """The object is gone: so are the photo's faces, thumbnails and tags, unless a newer object is there."""
        if notification.overwritten_by_generation is not None:
            return  # the new generation's own message keeps the faces that are still there
        with self._database.transaction() as connection:
            try:
                _, media_id, photo = self._place(connection, notification)
            except Permanent as refusal:
                logger().info("a deleted object that is no photo: nothing to do", code=refusal.code)
                return
            if notification.generation < (photo.generation or 0):
                return
            if notification.generation != photo.generation:
                store.set_object(
                    connection, photo, notification.bucket, notification.object_name, notification.generation
                )
            store.set_deleted(connection, photo, notification.generation)
            store.end_open_jobs(connection, media_id, notification.generation, _DELETED)
            store.remove_photo_traces(connection, photo, self._settings.derived_bucket)


def _photo_of(connection: Connection, message: DetectRequested) -> tuple[Photo | None, Permanent | None]:
    """The photo that is asked for, locked, or why it is not to be looked at."""
    try:
        return store.lock_photo(connection, message.media_id, message.event_id, create=False), None
    except Permanent as refusal:
        return None, refusal


def _work_of_request(connection: Connection, job: Job, photo: Photo | None, current: int | None) -> Work | None:
    """What to read for a request; None when the job ends here, because its object is no longer the photo's.

    Raises:
        Permanent: ``no_object``.
        Retryable: nobody has asked the bucket yet which object is there.
    """
    if photo is None or photo.bucket is None or photo.object_name is None or current is None:
        raise Permanent("no_object", "the photo has no object in the bucket: upload it")
    generation = photo.generation or current
    if generation == _NOT_LOOKED_FOR:
        raise Retryable("consent was given a moment ago: the photo's object is still to be looked for")
    if generation <= photo.deleted_generation:
        job_ledger.complete(connection, job, {"skipped": _DELETED})
    elif job.object_generation not in (0, generation) or not store.adopt_generation(connection, job, generation):
        job_ledger.complete(connection, job, {"skipped": _REPLACED})
    else:
        return Work(job, photo.event_id, photo.media_id, photo.bucket, photo.object_name, generation)
    return None


def _match(connection: Connection, work: Work, found: _Found) -> Redetection:
    existing, tombstones = store.known_faces(connection, work.media_id)
    boxes = [face.box for face in found.faces]
    return recognise_known_faces(work.media_id, work.generation, boxes, existing, tombstones)


def _thumbnails(work: Work, found: _Found, matched: Redetection) -> dict[str, bytes]:
    """The thumbnails to upload (JPEG), by object name."""
    return {
        store.thumbnail_name(work.event_id, work.media_id, face_id): face.thumbnail
        for face, face_id in zip(found.faces, matched.face_ids, strict=True)
        if face_id is not None
    }


def _result(found: _Found, matched: Redetection, model: str, watch: Stopwatch) -> dict[str, Any]:
    kept = [face_id for face_id in matched.face_ids if face_id is not None]
    return {
        "faces": len(kept),
        "new": len(kept) - len(matched.known),
        "gone": len(matched.gone),
        "purged": len(matched.face_ids) - len(kept),
        "width": found.decoded.original_width,
        "height": found.decoded.original_height,
        "format": found.decoded.format,
        "model": model,
        "milliseconds": watch.report(),
    }


def _record_unplaced(connection: Connection, notification: StorageNotification, refusal: Permanent) -> None:
    logger().warning("upload refused", code=refusal.code, reason=refusal.reason)
    claims = {"bucket": notification.bucket, "object": notification.object_name, "generation": notification.generation}
    key = f"{notification.bucket}/{notification.object_name}#{notification.generation}"
    store.record_unplaced_refusal(connection, key, refusal, claims)
