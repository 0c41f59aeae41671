"""Which object is the photo, kept in its row: what an upload makes of it, and what a deletion leaves.

Every method works in the caller's transaction, with the photo locked. Where the bucket is asked meanwhile, that is
for the order of things: the deletion of what it names is heard of afterwards.
"""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from functions.detect import store
from functions.detect.objects import (
    COMPANION,
    NOT_AN_IMAGE,
    Candidate,
    Outcome,
    Photo,
    Standing,
    standing,
    successor,
)
from shared import job_ledger, outbox
from shared.contracts import DetectRequested, StorageNotification, photo_ids
from shared.database import Connection
from shared.errors import Permanent
from shared.job_ledger import Job
from shared.log import logger
from shared.storage import ObjectMissing, ObjectStore, StoredObject

REPLACED = "replaced by a newer upload"
DELETED = "the photo was deleted"
# Objects in a photo's folder, or in the folder where a photo lies that its metadata places. One page of a listing.
_MOST_LISTED = 1000


class PhotoObjects:
    """The photos' objects: those in the bucket, and those that the rows name."""

    def __init__(self, objects: ObjectStore, photos_bucket: str, derived_bucket: str) -> None:
        self._objects = objects
        self._photos_bucket = photos_bucket
        self._derived_bucket = derived_bucket

    def accept(
        self, connection: Connection, photo: Photo, uploaded: StorageNotification
    ) -> tuple[Job, Standing] | None:
        """Return the job of an upload and the role of its object; None if nothing is to be read."""
        kind = self.standing(connection, photo, uploaded.bucket, uploaded.object_name, uploaded.generation)
        match kind:
            case Standing.STALE:
                logger().info("an older generation of the photo: nothing to do", media_id=str(photo.media_id))
                return None
            case Standing.COMPANION:
                self._note_companion(connection, photo, uploaded)
                return None
            case Standing.BESIDE:
                return store.job_of_object(connection, photo, uploaded.generation, is_the_photo=False), kind
            case Standing.PHOTO:
                return self._take(connection, photo, uploaded), kind

    def standing(
        self, connection: Connection, photo: Photo, bucket: str, object_name: str, generation: int
    ) -> Standing:
        """Return the role of an object for its photo."""
        current = self._outcome(connection, photo)
        keeps_faces = current is not None and current.shows_no_photo and store.keeps_faces(connection, photo)
        return standing(photo, bucket, object_name, generation, current, keeps_faces=keeps_faces)

    def _outcome(self, connection: Connection, photo: Photo) -> Outcome | None:
        """How the job of the photo's present object stands; None without one."""
        return None if photo.generation is None else store.outcomes(connection, photo.media_id).get(photo.generation)

    def _take(self, connection: Connection, photo: Photo, uploaded: StorageNotification) -> Job:
        """Make the object the photo's; returns its job, which has ended when nothing is to be done."""
        job = store.job_of_object(connection, photo, uploaded.generation)
        if uploaded.generation == photo.generation:
            return job
        if job.has_ended:
            # One that the photo's row knows nothing of is of an earlier row, or was refused and is the photo after all.
            outcome = store.outcomes(connection, photo.media_id)[uploaded.generation]
            if photo.generation is not None and not outcome.waits:
                return job
            job = job_ledger.renewed(connection, job)
        store.end_open_jobs(connection, photo.media_id, [0, photo.generation], REPLACED)
        store.set_object(connection, photo, uploaded.bucket, uploaded.object_name, uploaded.generation)
        return job

    def _note_companion(self, connection: Connection, photo: Photo, uploaded: StorageNotification) -> None:
        """Skip an object whose name is not a picture's. It takes the photo's place until there is a picture."""
        stands_in = photo.object_name is None or photo.names(uploaded.bucket, uploaded.object_name)
        job = store.job_of_object(connection, photo, uploaded.generation, is_the_photo=stands_in)
        if stands_in and uploaded.generation != photo.generation:
            store.end_open_jobs(connection, photo.media_id, [photo.generation], REPLACED)
            store.set_object(connection, photo, uploaded.bucket, uploaded.object_name, uploaded.generation)
        if not job.has_ended:
            skipped = NOT_AN_IMAGE if stands_in else COMPANION
            job_ledger.complete(connection, job, {"skipped": skipped, "detail": "Its name says so; it was not read."})
        if stands_in and uploaded.generation != photo.generation:
            now = replace(
                photo, bucket=uploaded.bucket, object_name=uploaded.object_name, generation=uploaded.generation
            )
            self.shows_no_photo(connection, now)

    def shows_no_photo(self, connection: Connection, photo: Photo) -> None:
        """Handle a photo whose object is not a picture, or not readable.

        The faces of an earlier version of it stay, with all that people said of them, until there is a readable one
        to compare with. Where there are none, or their object was deleted, another object becomes the photo.
        """
        if store.keeps_faces(connection, photo):
            return
        waits = store.has_traces(connection, photo) or store.refused_beside(connection, photo.media_id)
        heir = self.heir(connection, photo) if waits else None
        if heir is not None:
            self.adopt(connection, photo, heir)
        else:
            store.remove_faces_of_deleted_objects(connection, photo, self._derived_bucket)

    def find_another(self, connection: Connection, photo: Photo, job: Job) -> bool:
        """Where the announced object never came but another did, let that be the photo; False when none waits."""
        heir = self.heir(connection, photo)
        if heir is None:
            return False
        self.adopt(connection, photo, heir)
        left = job_ledger.lock(connection, job.id)
        if left is not None and left.run == job.run and not left.has_ended:
            job_ledger.complete(connection, left, {"skipped": REPLACED})
        return True

    def forget(self, connection: Connection, photo: Photo, bucket: str, object_name: str, generation: int) -> None:
        """Handle the deletion of an object from the bucket."""
        if photo.object_name is None or photo.names(bucket, object_name):
            if generation >= (photo.generation or 0):
                self.lose(connection, photo, bucket, object_name, generation)
            return
        store.end_open_jobs(connection, photo.media_id, [generation], DELETED)
        if not store.has_faces_of(connection, photo, generation):
            return
        # The host app announced another object in place of this one: the faces wait for it, if it is there.
        if photo.generation is None and not self.is_there(photo.bucket, photo.object_name):
            store.remove_photo_traces(connection, photo, self._derived_bucket)
            return
        current = self._outcome(connection, photo)
        shows_none = current is not None and current.shows_no_photo
        heir = self.heir(connection, photo) if shows_none else None
        if heir is not None:
            self.adopt(connection, photo, heir)
        store.note_deleted_object_of_faces(connection, photo)
        if shows_none and heir is None:
            store.remove_faces_of_deleted_objects(connection, photo, self._derived_bucket)

    def lose(self, connection: Connection, photo: Photo, bucket: str, object_name: str, generation: int) -> None:
        """Handle a photo whose object was deleted: another object becomes the photo, or everything is erased.

        A rename is a copy and a deletion. Whichever is heard of first, the copy is in the bucket by the deletion. The
        bucket is asked while the photo is locked, so that the deletion of what it names is heard of afterwards.
        """
        if generation != photo.generation:
            store.set_object(connection, photo, bucket, object_name, generation)
        store.set_deleted(connection, photo, generation)
        store.end_open_jobs(connection, photo.media_id, [0, photo.generation, generation], DELETED)
        lost = replace(photo, bucket=bucket, object_name=object_name, generation=generation)
        heir = self.heir(connection, lost)
        if heir is not None:
            self.adopt(connection, lost, heir)
            store.note_deleted_object_of_faces(connection, photo)
        else:
            store.remove_photo_traces(connection, photo, self._derived_bucket)

    def heir(self, connection: Connection, photo: Photo) -> Candidate | None:
        """Choose the object that becomes the photo, from the photo's folder and the objects refused before."""
        if photo.bucket is None or photo.object_name is None:
            return None
        known = store.outcomes(connection, photo.media_id)
        ids = (photo.event_id, photo.media_id)
        own_folder = f"events/{photo.event_id}/{photo.media_id}/"
        in_own = photo.object_name.startswith(own_folder)
        folder = own_folder if in_own else f"{photo.object_name.rpartition('/')[0]}/"
        found: dict[str, Candidate] = {}
        if folder != "/":
            for stored in self._objects.list_objects(photo.bucket, folder, most=_MOST_LISTED):
                if _ids_of(stored) == ids:
                    outcome = known.get(stored.generation)
                    found[stored.name] = Candidate(stored.name, stored.generation, stored.size, outcome)
        for name, generation in store.refused_beside(connection, photo.media_id).items():
            if name not in found and self.is_there(photo.bucket, name, generation):
                found[name] = Candidate(name, generation, 0, known.get(generation))
        return successor(photo, list(found.values()))

    def adopt(self, connection: Connection, photo: Photo, heir: Candidate) -> None:
        """Make another object the photo and ask for it. The faces stay until it was looked at, which may keep them."""
        job = store.job_of_object(connection, photo, heir.generation)
        store.end_open_jobs(connection, photo.media_id, [0, photo.generation], REPLACED)
        store.set_object(connection, photo, self._photos_bucket, heir.object_name, heir.generation)
        job = job_ledger.renewed(connection, job)
        outbox.add_message(
            connection,
            DetectRequested(job_id=job.id, run=job.run, event_id=photo.event_id, media_id=photo.media_id),
        )
        logger().info("another object is the photo now", media_id=str(photo.media_id), job_id=str(job.id))

    def is_there(self, bucket: str | None, object_name: str | None, generation: int | None = None) -> bool:
        """Whether the bucket holds the object, at this generation where one is asked for."""
        if bucket is None or object_name is None:
            return False
        try:
            found = self._objects.generation(bucket, object_name)
        except ObjectMissing:
            return False
        return generation in (None, found)


def _ids_of(stored: StoredObject) -> tuple[UUID, UUID] | None:
    """Return the event and the media that a listed object belongs to; None if it belongs to no photo."""
    try:
        return photo_ids(stored.name, stored.metadata)
    except Permanent:
        return None
