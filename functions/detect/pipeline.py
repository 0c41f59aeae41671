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

from functions.detect import faces_store, store
from functions.detect.engine import ENOUGH_TO_DETECT, DetectedFace, Engine
from functions.detect.likeness import Likeness
from functions.detect.objects import (
    COMPANION,
    NOT_AN_IMAGE,
    SECOND_PICTURE,
    SECOND_PICTURE_REASON,
    Candidate,
    Photo,
    Standing,
    is_companion,
    is_folder,
)
from functions.detect.pack_list import same_face_of
from functions.detect.photo_objects import DELETED, REPLACED, PhotoObjects
from functions.detect.picture_hash import picture_hash
from functions.detect.places import Places
from functions.detect.redetection import KnownFaces, Picture, Redetection, recognise_known_faces
from functions.detect.settings import DetectSettings
from shared import consent, job_ledger
from shared.contracts import DetectRequested, StorageNotification
from shared.database import Connection, Database, again_on_conflict
from shared.decode import BadImage, DecodedPhoto, NotAnImage, decode, memory_needed
from shared.errors import Busy, Permanent, Retryable
from shared.job_ledger import Job
from shared.log import log_context, logger
from shared.memory_budget import MemoryBudget
from shared.outbox import Outbox
from shared.sniff import UnsupportedPicture, sniff
from shared.storage import ObjectMissing, ObjectStore, crc32c

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
    # Another object is the photo: only what this one is, is looked at.
    is_beside: bool = False


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
    picture: Picture


@dataclass(frozen=True)
class _Matched:
    """Who is who, and what that was decided by: it holds as long as ``known`` is what the database knows."""

    known: KnownFaces
    in_same_bytes: frozenset[UUID]
    redetection: Redetection


class _WouldMakePhotoAgain(Exception):
    """An upload of a photo whose row was deleted before it: what it is decides whether there is a photo again."""


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
        self._photo_objects = PhotoObjects(objects, settings.photos_bucket, settings.derived_bucket)
        self._limits = settings.decode_limits()
        self._likeness = Likeness(engine, objects, settings.derived_bucket, same_face_of(model))
        # While one photo is decoded another is looked at; the largest that is let in has the memory to itself.
        self._room = MemoryBudget(settings.max_photo_memory, settings.face_photos_at_once, settings.face_patience)
        # Whoever is beyond these is told so at once: waiting unseen would use up the time that the bus grants.
        self._places = Places(settings.face_photos_at_once + settings.face_photos_waiting)

    # ------------------------------------------------------------ messages

    def uploaded(self, notification: StorageNotification) -> None:
        """Handle the creation or deletion of an object.

        Raises:
            Busy: as many photos are inside as there are places, or this one waited too long for room.
            Retryable: something is away; the job keeps the error.
        """
        if notification.event_type == "OBJECT_METADATA_UPDATE" or is_folder(notification.object_name):
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

    def _accept_upload(self, notification: StorageNotification) -> Work | None:
        """Return the work for an upload; None when there is none (refused, stale or done already)."""
        try:
            return self._accept(notification)
        except _WouldMakePhotoAgain:
            uploaded = (notification.bucket, notification.object_name, notification.generation)
            if self._why_no_picture(*uploaded) is not None:
                logger().info("an upload that is no picture, of a photo that was deleted: nothing to do")
                return None
            return self._accept(notification, is_picture=True)

    @again_on_conflict
    def _accept(self, notification: StorageNotification, *, is_picture: bool = False) -> Work | None:
        with self._database.transaction() as connection:
            try:
                photo = self._place(connection, notification, is_picture=is_picture)
            except Permanent as refusal:
                _record_unplaced(connection, notification, refusal)
                return None
            if photo is None:
                logger().info("an upload of a photo that was deleted since: nothing to do")
                return None
            accepted = self._photo_objects.accept(connection, photo, notification)
            if accepted is None:
                return None
            job, kind = accepted
            if job.has_ended or not self._start(connection, photo, job):
                return None
            return _work_of_upload(job, photo, notification, is_beside=kind is Standing.BESIDE)

    def _place(
        self, connection: Connection, notification: StorageNotification, *, is_picture: bool = False
    ) -> Photo | None:
        """Return the photo that an object belongs to; None when its row or event was deleted after this upload.

        A photo whose row was deleted is made again by nothing but a newer picture.

        Raises:
            Permanent: another bucket, no ids, an unknown event, or another event's photo.
            _WouldMakePhotoAgain: it is to be seen first whether the object ``is_picture``.
        """
        if notification.bucket != self._settings.photos_bucket:
            raise Permanent("unknown_object", "the object is not in the photos bucket")
        event_id, media_id = notification.photo_ids()
        makes_none = is_companion(notification.object_name) or notification.event_type == "OBJECT_DELETE"
        generation = store.OLDER_THAN_ANY if makes_none else notification.generation
        if not consent.event_exists(connection, event_id):
            if store.was_deleted(connection, media_id, event_id, generation, notification.uploaded_at):
                return None
            raise Permanent("unknown_event", "no such event: create it before its photos are uploaded")
        if not makes_none and not is_picture and store.is_of_deleted_photo(connection, media_id):
            is_deleted = store.was_deleted(connection, media_id, event_id, generation, notification.uploaded_at)
            if not is_deleted and consent.consents(connection, event_id):
                raise _WouldMakePhotoAgain
        return store.make_photo(connection, media_id, event_id, generation, notification.uploaded_at)

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
        """Return the work for a request; None when there is none (refused, stale or done already)."""
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
                if current is None and photo is not None and self._photo_objects.find_another(connection, photo, job):
                    return None
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
        """Return the generation of the photo's object: the recorded one, or else the bucket's; None without one."""
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
                if work.is_beside:
                    self._look_beside(work)
                    return
                found = self._look(work, watch)
                if found is not None:
                    self._keep(work, found, watch)
            except Busy:
                job_ledger.give_back(self._database, work.job)
                raise
            except Exception as error:
                job_ledger.note_error(self._database, work.job.id, error)
                raise

    def _look_beside(self, work: Work) -> None:
        """Tell a companion from a second picture by the bytes; neither touches the photo."""
        skipped = self._why_no_picture(work.bucket, work.object_name, work.generation)
        with self._database.transaction() as connection:
            photo = store.lock_photo(connection, work.media_id, work.event_id)
            job = job_ledger.lock(connection, work.job.id)
            if job is None or job.run != work.job.run or job.status != "processing":
                return
            if photo is None:
                skipped = DELETED
            elif skipped is None:
                # Looked at again: meanwhile the photo may have turned out to be none, or was deleted.
                match self._photo_objects.standing(connection, photo, work.bucket, work.object_name, work.generation):
                    case Standing.PHOTO:
                        self._photo_objects.adopt(
                            connection, photo, Candidate(work.object_name, work.generation, 0, None)
                        )
                        return
                    case Standing.STALE:
                        skipped = REPLACED
                    case _:
                        logger().warning("second picture of a photo refused", code=SECOND_PICTURE)
                        result = {"object": work.object_name}
                        job_ledger.fail(connection, job, SECOND_PICTURE, SECOND_PICTURE_REASON, result)
                        return
            job_ledger.complete(connection, job, {"skipped": skipped})

    def _why_no_picture(self, bucket: str, object_name: str, generation: int) -> str | None:
        """Why an object is skipped, by its bytes: it is no picture, or not there any more; None for a picture."""
        try:
            sniff(self._objects.read(bucket, object_name, generation, max_bytes=self._settings.max_photo_bytes))
        except ObjectMissing:
            return DELETED
        except NotAnImage:
            return COMPANION
        except (UnsupportedPicture, Permanent):
            pass  # a picture all the same, or too large to say
        return None

    def _look(self, work: Work, watch: Stopwatch) -> _Found | None:
        """Read, decode and detect; None when the job has ended here, with its reason."""
        try:
            with watch.stage("read"):
                data = self._objects.read(
                    work.bucket, work.object_name, work.generation, max_bytes=self._settings.max_photo_bytes
                )
            with self._room.taken(memory_needed(data, self._limits)):
                with watch.stage("decode"):
                    decoded = decode(data, self._limits, enough=ENOUGH_TO_DETECT)
                result = self._engine.detect(decoded)
        except ObjectMissing:
            self._end_unread(work)
        except NotAnImage as error:
            self._end_without_faces(work, skipped=NOT_AN_IMAGE, detail=str(error))
        except BadImage as error:
            self._end_without_faces(work, refusal=Permanent(error.code, str(error)))
        except Permanent as refusal:
            self._end_without_faces(work, refusal=refusal)
        else:
            watch.note({stage.removesuffix("_ms"): duration for stage, duration in result.timings.items()})
            if result.dropped:
                logger().error("detections without usable numbers were dropped", dropped=result.dropped)
            return _Found(decoded, result.faces, Picture(crc32c(data), picture_hash(decoded.rgb)))
        return None

    @again_on_conflict
    def _end_unread(self, work: Work) -> None:
        """End the job of an object that no longer exists. The message of its deletion or replacement handles the faces.

        That message may have come before this one; then there is nothing of the photo yet, and it has no object.
        """
        with self._database.transaction() as connection:
            photo, job = self._still_wanted(connection, work)
            if job is None or photo is None:
                return
            skipped = "the object was deleted or replaced before it was read"
            job_ledger.complete(connection, job, {"skipped": skipped})
            if not store.has_traces(connection, photo) and not self._photo_objects.is_there(
                work.bucket, work.object_name
            ):
                self._photo_objects.lose(connection, photo, work.bucket, work.object_name, work.generation)

    @again_on_conflict
    def _end_without_faces(
        self, work: Work, *, skipped: str = "", detail: str = "", refusal: Permanent | None = None
    ) -> None:
        with self._database.transaction() as connection:
            photo, job = self._still_wanted(connection, work)
            if photo is None or job is None:
                return
            if refusal is not None:
                self._refuse(connection, job, refusal)
            else:
                job_ledger.complete(connection, job, {"skipped": skipped, "detail": detail})
            self._photo_objects.shows_no_photo(connection, photo)

    # ------------------------------------------------------------ write

    def _keep(self, work: Work, found: _Found, watch: Stopwatch) -> None:
        """Upload thumbnails, then write the faces; again when the photo's faces changed in between."""
        uploaded: dict[str, None] = {}
        for _ in range(_MATCHING_TRIES):
            matched = self._match(work, found)
            thumbnails = _thumbnails(work, found, matched.redetection)
            uploaded |= dict.fromkeys(thumbnails)
            with self._database.transaction() as connection:
                store.announce_thumbnails(connection, self._settings.derived_bucket, list(uploaded))
            with watch.stage("upload"):
                self._upload_thumbnails(work, thumbnails)
            if self._write(work, found, matched, list(uploaded), watch):
                return
        message = "the photo's faces kept changing while they were written"
        raise Retryable(message)

    def _match(self, work: Work, found: _Found) -> _Matched:
        """Who of the photo's faces is who. Old faces of other bytes are compared here, where nothing is locked."""
        with self._database.transaction() as connection:
            known = faces_store.known_faces(connection, work.media_id, self._model)
            in_same_bytes = known.in_same_bytes(found.picture, work.generation)
            others = [face for face in known.faces if face.face_id not in in_same_bytes]
            stored = faces_store.stored_faces(connection, [face.face_id for face in others], self._model)
        same_faces = self._likeness.same_faces(found.decoded, found.faces, others, stored)
        redetection = recognise_known_faces(
            work.media_id,
            work.generation,
            [face.box for face in found.faces],
            {face.face_id: face.box for face in known.faces},
            known.purged_places(found.picture),
            is_same_face=lambda index, face_id: face_id in in_same_bytes or (index, face_id) in same_faces,
        )
        return _Matched(known, in_same_bytes, redetection)

    def _upload_thumbnails(self, work: Work, thumbnails: Mapping[str, bytes]) -> None:
        derived = self._settings.derived_bucket
        self._outbox.finish_deletions(derived, store.thumbnail_prefix(work.event_id, work.media_id))
        for name, thumbnail in thumbnails.items():
            self._objects.write(derived, name, thumbnail, content_type="image/jpeg")

    @again_on_conflict
    def _write(self, work: Work, found: _Found, matched: _Matched, uploaded: Sequence[str], watch: Stopwatch) -> bool:
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
                    if faces_store.known_faces(connection, work.media_id, self._model) != matched.known:
                        return False
                    faces_store.write_faces(
                        connection,
                        photo,
                        work.generation,
                        found.picture,
                        found.faces,
                        matched.redetection,
                        in_same_bytes=matched.in_same_bytes,
                        model=self._model,
                        derived_bucket=derived,
                    )
                    job_ledger.complete(connection, job, _result(found, matched.redetection, self._model, watch))
            store.settle_thumbnails(connection, derived, uploaded)
        return True

    def _still_wanted(self, connection: Connection, work: Work) -> tuple[Photo | None, Job | None]:
        """Photo and job, locked, when this work is still to be written; else None and None.

        It is not when another delivery was faster, or the photo was replaced or deleted meanwhile; in the
        latter case the job ends here, since nobody else will end it.
        """
        photo = store.lock_photo(connection, work.media_id, work.event_id)
        job = job_ledger.lock(connection, work.job.id)
        if job is None or job.run != work.job.run or job.status != "processing":
            return None, None
        if photo is None or photo.deleted_generation >= work.generation:
            job_ledger.complete(connection, job, {"skipped": DELETED})
            return None, None
        if photo.generation != work.generation:
            job_ledger.complete(connection, job, {"skipped": REPLACED})
            return None, None
        return photo, job

    # ------------------------------------------------------------ delete

    @again_on_conflict
    def _delete(self, notification: StorageNotification) -> None:
        """Erase the faces, thumbnails and tags of a deleted object, unless another object is the photo now."""
        if notification.overwritten_by_generation is not None:
            return  # the new generation's own message keeps the faces that are still there
        with self._database.transaction() as connection:
            try:
                photo = self._place(connection, notification)
            except Permanent as refusal:
                logger().info("a deleted object that is no photo: nothing to do", code=refusal.code)
                return
            if photo is not None:
                bucket, object_name = notification.bucket, notification.object_name
                self._photo_objects.forget(connection, photo, bucket, object_name, notification.generation)


def _photo_of(connection: Connection, message: DetectRequested) -> tuple[Photo | None, Permanent | None]:
    """Return the requested photo, locked, or the reason why it must not be processed."""
    try:
        return store.lock_photo(connection, message.media_id, message.event_id), None
    except Permanent as refusal:
        return None, refusal


def _work_of_request(connection: Connection, job: Job, photo: Photo | None, current: int | None) -> Work | None:
    """Return what to read for a request; None when the job ends here, because its object is no longer the photo's.

    Raises:
        Permanent: ``no_object``.
        Retryable: nobody has asked the bucket yet which object is there.
    """
    if photo is None:
        job_ledger.complete(connection, job, {"skipped": DELETED})
        return None
    if photo.bucket is None or photo.object_name is None or current is None:
        raise Permanent("no_object", "the photo has no object in the bucket: upload it")
    generation = photo.generation or current
    if generation == _NOT_LOOKED_FOR:
        raise Retryable("consent was given a moment ago: the photo's object is still to be looked for")
    if job.object_generation > generation:
        raise Permanent(SECOND_PICTURE, SECOND_PICTURE_REASON)
    if photo.generation is None:
        job_ledger.drop_ended(connection, job, generation)
    if generation <= photo.deleted_generation:
        job_ledger.complete(connection, job, {"skipped": DELETED})
    elif job.object_generation not in (0, generation) or not job_ledger.adopt_generation(connection, job, generation):
        job_ledger.complete(connection, job, {"skipped": REPLACED})
    else:
        return Work(job, photo.event_id, photo.media_id, photo.bucket, photo.object_name, generation)
    return None


def _thumbnails(work: Work, found: _Found, matched: Redetection) -> dict[str, bytes]:
    """Return the thumbnails to upload (JPEG), by object name."""
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


def _work_of_upload(job: Job, photo: Photo, uploaded: StorageNotification, *, is_beside: bool) -> Work:
    ids = (photo.event_id, photo.media_id)
    return Work(job, *ids, uploaded.bucket, uploaded.object_name, uploaded.generation, is_beside)


def _record_unplaced(connection: Connection, notification: StorageNotification, refusal: Permanent) -> None:
    logger().warning("upload refused", code=refusal.code, reason=refusal.reason)
    claims = {"bucket": notification.bucket, "object": notification.object_name, "generation": notification.generation}
    key = f"{notification.bucket}/{notification.object_name}#{notification.generation}"
    store.record_unplaced_refusal(connection, key, refusal, claims)
