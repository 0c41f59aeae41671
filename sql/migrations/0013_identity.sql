-- migrate:up
-- Which picture faces belong to: a place in another picture says nothing about who is there.

-- What the faces of a photo were last found in, written with them: Cloud Storage's checksum of the bytes, and a
-- perceptual hash of the whole photo (functions/detect/picture_hash.py). Null for faces that are older than this.
ALTER TABLE media
    ADD COLUMN IF NOT EXISTS faces_crc32c text,
    ADD COLUMN IF NOT EXISTS faces_picture_hash bytea;

-- The same of a purged face, which hides in no other picture. No biometric: a face is a few bits of the whole photo's.
ALTER TABLE face_tombstones
    ADD COLUMN IF NOT EXISTS crc32c text,
    ADD COLUMN IF NOT EXISTS picture_hash bytea CHECK (octet_length(picture_hash) = 32);

-- A purge outlives the photo's row: a host may delete it, and upload the same picture under the same id.
ALTER TABLE face_tombstones DROP CONSTRAINT IF EXISTS face_tombstones_media_id_event_id_fkey;
ALTER TABLE face_tombstones DROP CONSTRAINT IF EXISTS face_tombstones_event_fkey;
ALTER TABLE face_tombstones ADD CONSTRAINT face_tombstones_event_fkey FOREIGN KEY (event_id) REFERENCES events (id)
    ON DELETE CASCADE;
CREATE INDEX IF NOT EXISTS face_tombstones_event_idx ON face_tombstones (event_id);

-- Whoever makes a tombstone: it is of the picture that the photo's faces were found in.
CREATE OR REPLACE FUNCTION trombi_name_picture_of_tombstone() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.crc32c IS NULL THEN
        SELECT faces_crc32c, faces_picture_hash INTO NEW.crc32c, NEW.picture_hash FROM media WHERE id = NEW.media_id;
    END IF;
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER trombi_name_picture BEFORE INSERT ON face_tombstones
    FOR EACH ROW EXECUTE FUNCTION trombi_name_picture_of_tombstone();

-- An event whose embeddings are erased may change its model pack. Faces without one follow its name.
DO $$
DECLARE of_role text;
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_constraint
        WHERE conname = 'faces_one_model_per_event' AND conrelid = 'faces'::regclass AND confupdtype = 'c'
    ) THEN
        ALTER TABLE faces DROP CONSTRAINT IF EXISTS faces_one_model_per_event;
        ALTER TABLE faces ADD CONSTRAINT faces_one_model_per_event FOREIGN KEY (event_id, embedding_model)
            REFERENCES event_counters (event_id, embedding_model) ON UPDATE CASCADE;
    END IF;
    REVOKE ALL ON FUNCTION trombi_name_picture_of_tombstone() FROM PUBLIC;
    FOR of_role IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION trombi_name_picture_of_tombstone() FROM %I', of_role);
    END LOOP;
END
$$;

-- migrate:down
