-- migrate:up
-- Rows that name objects may vanish before the objects do, and without any function: the host app deletes a photo's
-- row or an event by SQL, and foreign keys take faces along. What is left to do then is written down here, by
-- triggers that only insert: they wait for no lock of Trombi's, and the host app's statement is never refused by them.

-- ---------------------------------------------------------------- photos whose row was deleted

-- A deleted photo stays deleted: messages of its uploads may still come. Ids and a number, nothing personal.
CREATE TABLE deleted_photos (
    media_id uuid PRIMARY KEY,
    event_id uuid NOT NULL,
    -- Newest generation of its objects that was known, 0 for none.
    generation bigint NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When the tick ended its open jobs and asked for clustering.
    settled_at timestamptz
);
CREATE INDEX deleted_photos_unsettled_idx ON deleted_photos (deleted_at) WHERE settled_at IS NULL;
CREATE INDEX deleted_photos_age ON deleted_photos (deleted_at);
ALTER TABLE deleted_photos ENABLE ROW LEVEL SECURITY;

-- Whether an upload belongs to a photo whose row, or whose event, was deleted after it: by its generation, or, where that
-- was not known yet, by its time. Whoever uploads later makes a new photo.
CREATE FUNCTION trombi_was_deleted(
    of_media uuid, of_event uuid, upload_generation bigint, uploaded_at timestamptz
) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT EXISTS (
        SELECT FROM deleted_photos
        WHERE media_id = of_media AND (generation >= upload_generation OR deleted_at >= uploaded_at)
    ) OR EXISTS (
        SELECT FROM purge_receipts
        WHERE event_id = of_event AND reason = 'event_deleted' AND requested_at >= uploaded_at
    )
$$;

CREATE FUNCTION trombi_note_deleted_photos() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    -- A deleted event has a receipt, which says as much of all its photos and deletes their thumbnails by one prefix.
    INSERT INTO deleted_photos (media_id, event_id, generation)
    SELECT id, event_id, greatest(
        coalesce(object_generation, 0), deleted_generation,
        (SELECT max(ml_jobs.object_generation) FROM ml_jobs
            WHERE job_type = 'detect' AND ml_jobs.event_id IS NOT NULL AND media_ids[1] = gone.id)
    )
    FROM gone WHERE EXISTS (SELECT FROM events WHERE events.id = gone.event_id) ORDER BY id
    ON CONFLICT (media_id) DO UPDATE SET event_id = excluded.event_id, deleted_at = excluded.deleted_at,
        generation = greatest(deleted_photos.generation, excluded.generation), settled_at = NULL;
    -- By prefix: also what a detection that died left behind.
    INSERT INTO outbox (kind, object_prefix)
    SELECT 'delete_objects', 'events/' || event_id || '/' || id || '/' FROM gone
    WHERE EXISTS (SELECT FROM events WHERE events.id = gone.event_id);
    RETURN NULL;
END
$$;
CREATE TRIGGER trombi_note_deleted_photos AFTER DELETE ON media
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION trombi_note_deleted_photos();

-- What was deleted before there was a trigger: photos that have jobs and no row.
INSERT INTO deleted_photos (media_id, event_id, generation)
SELECT media_ids[1], min(event_id::text)::uuid, max(object_generation) FROM ml_jobs
WHERE job_type = 'detect' AND event_id IS NOT NULL AND NOT EXISTS (SELECT FROM media WHERE media.id = media_ids[1])
GROUP BY media_ids[1];
INSERT INTO outbox (kind, object_prefix)
SELECT 'delete_objects', 'events/' || event_id || '/' || media_id || '/' FROM deleted_photos;

-- ---------------------------------------------------------------- faces that were deleted

CREATE INDEX outbox_prefix_idx ON outbox (object_prefix) WHERE kind = 'delete_objects';

-- At the end of the transaction, when whoever deleted the face has had the chance to see to the thumbnail: by its name,
-- or by the prefix of its photo or event.
CREATE FUNCTION trombi_erase_left_thumbnail() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO outbox (kind, object_prefix)
    SELECT 'delete_objects', OLD.thumbnail_object
    WHERE NOT EXISTS (
        SELECT FROM outbox WHERE kind = 'delete_objects' AND due_at <= clock_timestamp() AND object_prefix IN (
            OLD.thumbnail_object,
            'events/' || OLD.event_id || '/' || OLD.media_id || '/',
            'events/' || OLD.event_id || '/'
        )
    );
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER trombi_erase_left_thumbnail AFTER DELETE ON faces
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.thumbnail_object <> '')
    EXECUTE FUNCTION trombi_erase_left_thumbnail();

-- ---------------------------------------------------------------- replacements that the host app announces

-- Who writes another object's name into a photo's row announces it as the photo's new object: what was known of the
-- one before (generation, deletion) is not true of it. Detect writes name and generation together.
CREATE FUNCTION trombi_announce_object() RETURNS trigger
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    NEW.object_generation := NULL;
    NEW.deleted_generation := 0;
    RETURN NEW;
END
$$;
CREATE TRIGGER trombi_announce_object BEFORE UPDATE OF bucket, object_name ON media
    FOR EACH ROW WHEN (
        (OLD.bucket, OLD.object_name) IS DISTINCT FROM (NEW.bucket, NEW.object_name)
        AND OLD.object_generation IS NOT DISTINCT FROM NEW.object_generation
        AND OLD.object_generation IS NOT NULL
    ) EXECUTE FUNCTION trombi_announce_object();

-- ---------------------------------------------------------------- rights

DO $$
DECLARE
    of_role text;
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['trombi_was_deleted(uuid, uuid, bigint, timestamptz)', 'trombi_note_deleted_photos()',
        'trombi_erase_left_thumbnail()', 'trombi_announce_object()'] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', name);
        FOR of_role IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
            EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %I', name, of_role);
        END LOOP;
    END LOOP;
    FOR of_role IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON deleted_photos FROM %I', of_role);
    END LOOP;
END
$$;

-- migrate:down
