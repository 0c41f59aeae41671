-- migrate:up
-- Statements that do not grow with what is kept, one definition of the best face, one of a person as shown.

-- ---------------------------------------------------------------- indexes

-- Announced photos that were never uploaded: the sweep looks for them, and so does the debounce.
CREATE INDEX IF NOT EXISTS media_announced_idx ON media (created_at)
    WHERE object_generation IS NULL AND deleted_generation = 0;
-- Events that were clustered within the last day: the sweep asks for those whose end nobody was told of.
CREATE INDEX IF NOT EXISTS event_counters_requested_idx ON event_counters (last_requested_at);
-- A job is found by its first media id, which has an index of its own.
DROP INDEX IF EXISTS ml_jobs_media_idx;
-- A person's faces and photos are counted in the index alone, without reading the faces.
DROP INDEX IF EXISTS faces_person_idx;
CREATE INDEX faces_person_idx ON faces (face_person_id, event_id, media_id) WHERE face_person_id IS NOT NULL;

-- ---------------------------------------------------------------- retention

-- As before, but that they ask for what is older than one time for all rows: clock_timestamp() may differ from row to
-- row, so that no index could be asked, and each tick read all faces.
CREATE OR REPLACE FUNCTION erase_biometrics_older_than(age interval, most integer) RETURNS integer
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    of_event uuid;
    face_list uuid[];
    prefixes text[];
BEGIN
    SELECT event_id INTO of_event FROM faces
    WHERE created_at < statement_timestamp() - age
        AND (embedding IS NOT NULL OR landmarks IS NOT NULL OR thumbnail_object IS NOT NULL)
    ORDER BY created_at LIMIT 1;
    IF of_event IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM 1 FROM events WHERE id = of_event FOR KEY SHARE;
    PERFORM 1 FROM event_counters WHERE event_id = of_event FOR NO KEY UPDATE;
    SELECT coalesce(array_agg(id), '{}'), coalesce(array_agg(thumbnail_object) FILTER (
        WHERE thumbnail_object IS NOT NULL), '{}') INTO face_list, prefixes
    FROM (
        SELECT id, thumbnail_object FROM faces
        WHERE event_id = of_event AND created_at < statement_timestamp() - age
            AND (embedding IS NOT NULL OR landmarks IS NOT NULL OR thumbnail_object IS NOT NULL)
        ORDER BY created_at LIMIT most
    ) AS old;
    IF cardinality(face_list) = 0 THEN
        RETURN 0;
    END IF;
    PERFORM trombi_give_receipt(of_event, 'retention', trombi_strip_faces(of_event, face_list), prefixes);
    RETURN cardinality(face_list);
END
$$;

CREATE OR REPLACE FUNCTION erase_addresses_older_than(age interval, most integer) RETURNS integer
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    of_event uuid;
    old uuid[];
    addresses text[];
BEGIN
    SELECT event_id INTO of_event FROM invitations
    WHERE (email IS NOT NULL OR message IS NOT NULL) AND coalesce(answered_at, expires_at) < statement_timestamp() - age
    ORDER BY coalesce(answered_at, expires_at) LIMIT 1;
    IF of_event IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM 1 FROM events WHERE id = of_event FOR KEY SHARE;
    PERFORM 1 FROM event_counters WHERE event_id = of_event FOR NO KEY UPDATE;
    SELECT array_agg(id), array_agg(DISTINCT email) FILTER (WHERE email IS NOT NULL) INTO old, addresses
    FROM (
        SELECT id, email FROM invitations
        WHERE event_id = of_event AND (email IS NOT NULL OR message IS NOT NULL)
            AND coalesce(answered_at, expires_at) < statement_timestamp() - age
        ORDER BY created_at LIMIT most
    ) AS found;
    IF old IS NULL THEN
        RETURN 0;
    END IF;
    UPDATE invitations SET email = NULL, message = NULL WHERE id = ANY(old);
    -- An address that was written to again since stays with the newer invitation.
    addresses := ARRAY(
        SELECT address FROM unnest(addresses) AS address
        WHERE NOT EXISTS (SELECT FROM invitations WHERE event_id = of_event AND email = address)
    );
    UPDATE face_persons SET status = 'pending', invitation_email = NULL, version = version + 1, updated_at = now()
    WHERE event_id = of_event AND invitation_email = ANY(addresses);
    PERFORM trombi_forget_in_decisions(of_event, '{}', NULL, addresses);
    UPDATE event_counters SET decision_version = decision_version + 1 WHERE event_id = of_event;
    RETURN cardinality(old);
END
$$;

-- ---------------------------------------------------------------- the best face of a person

-- How well a face stands for its person, in [0, 1]: quality * frontality * sharpness * size. A product, so that a face
-- that fails in one respect is not saved by the others.
-- Quality is the detector's confidence. Frontality is cos(yaw) * cos(pitch), 0 from a right angle on; roll is undone by
-- alignment. Sharpness is s / (s + 100), which saturates: 100 is the variance of the Laplacian (of detect, on the
-- aligned crop) at which a face counts as half sharp; of 23 faces in group photos the median is 346, one is below 100
-- (27, plainly blurred), the sharpest is at 1001. Size is the shorter side of the box over 112, at most 1: a face needs
-- no more pixels than the embedding model's input has (ArcFace: 112 x 112). A measure that was not taken counts as 0.5:
-- such a face neither wins nor loses by it.
CREATE OR REPLACE FUNCTION trombi_cover_score(quality real, sharpness real, yaw real, pitch real, size_px integer)
    RETURNS float8
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN quality::float8
        * CASE WHEN yaw IS NULL THEN 0.5 WHEN abs(yaw) < 90 THEN cos(radians(yaw::float8)) ELSE 0 END
        * CASE WHEN pitch IS NULL THEN 0.5 WHEN abs(pitch) < 90 THEN cos(radians(pitch::float8)) ELSE 0 END
        * CASE WHEN sharpness IS NULL THEN 0.5 ELSE sharpness::float8 / (sharpness::float8 + 100) END
        * least(1, size_px / 112.0::float8);

-- A person's faces from the best to the worst: the cover, then the others by their score, the smallest id among equals.
-- A face whose picture was erased has nothing to show and comes last.
CREATE OR REPLACE FUNCTION trombi_best_faces(of_person uuid) RETURNS TABLE (face_id uuid, thumbnail_object text)
    LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT faces.id, faces.thumbnail_object
    FROM faces JOIN face_persons AS person ON person.id = faces.face_person_id AND person.event_id = faces.event_id
    WHERE person.id = of_person
    ORDER BY faces.thumbnail_object IS NULL, (faces.id = person.representative_face_id) IS TRUE DESC,
        trombi_cover_score(quality_score, sharpness, yaw, pitch, size_px) DESC, faces.id
$$;

-- The face that stands for a person; null for a person without faces.
CREATE OR REPLACE FUNCTION trombi_best_cover(of_person uuid) RETURNS uuid
    LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT face_id FROM trombi_best_faces(of_person) LIMIT 1
$$;

-- ---------------------------------------------------------------- a person as shown

-- What lists, a person's page, mails and the invitation page say of a person. Counts are counted, not read from the
-- person's metadata, which is what the last run or decision wrote. With the rights of who asks: row level security
-- decides whom they see.
CREATE OR REPLACE VIEW persons_shown WITH (security_invoker = true) AS
SELECT person.id, person.event_id, person.status, person.version, person.representative_face_id AS cover_face_id,
    person.merged_into_id, person.created_at, person.invitation_email, person.linked_user_id,
    users.display_name AS linked_name, counted.face_count, counted.photo_count
FROM face_persons AS person
LEFT JOIN users ON users.id = person.linked_user_id
CROSS JOIN LATERAL (
    SELECT count(*) AS face_count, count(DISTINCT media_id) AS photo_count
    FROM faces WHERE faces.face_person_id = person.id AND faces.event_id = person.event_id
) AS counted;

-- ---------------------------------------------------------------- rights

DO $$
DECLARE
    of_role text;
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'trombi_cover_score(real, real, real, real, integer)', 'trombi_best_faces(uuid)', 'trombi_best_cover(uuid)'
    ] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', name);
        FOR of_role IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
            EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %I', name, of_role);
        END LOOP;
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO trombi_reviewer', name);
    END LOOP;
    FOR of_role IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON persons_shown FROM %I', of_role);
    END LOOP;
    GRANT SELECT ON persons_shown TO trombi_reviewer;
END
$$;

-- migrate:down
