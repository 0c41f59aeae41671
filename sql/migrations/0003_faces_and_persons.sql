-- migrate:up
-- Detected faces, the persons that they are grouped into, and the tags that people made of them.
SELECT set_config('search_path', trombi.trombi_search_path(), true);

-- A box or nothing: {x, y, w, h} within the upright image, normalised to [0, 1].
CREATE FUNCTION is_normalised_box(box jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = trombi, pg_temp
    RETURN coalesce(
        jsonb_typeof(box -> 'x') = 'number' AND jsonb_typeof(box -> 'y') = 'number'
        AND jsonb_typeof(box -> 'w') = 'number' AND jsonb_typeof(box -> 'h') = 'number'
        AND (box ->> 'x')::float8 >= 0 AND (box ->> 'y')::float8 >= 0
        AND (box ->> 'w')::float8 > 0 AND (box ->> 'h')::float8 > 0
        -- Sums of rounded floats may pass 1 by their last bits.
        AND (box ->> 'x')::float8 + (box ->> 'w')::float8 <= 1.000001
        AND (box ->> 'y')::float8 + (box ->> 'h')::float8 <= 1.000001,
        false
    );

-- One person within one event.
CREATE TABLE face_persons (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    event_id uuid NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    cluster_label integer,
    -- The cover: the face that stands for the person.
    representative_face_id uuid,
    cover_chosen_by_human boolean NOT NULL DEFAULT false,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'linked', 'invited', 'ignored', 'merged')),
    linked_user_id uuid REFERENCES users (id) ON DELETE SET NULL,
    invitation_email text,
    merged_into_id uuid,
    -- Whose the person was until their account was deleted, for a purge that comes after it: SHA-256 of the person's id
    -- and the user's, so that nobody is named. Forgotten when the person is linked again.
    former_user_hash bytea,
    -- A human answered "one person" to the question whether it is two: never asked again.
    said_to_be_one boolean NOT NULL DEFAULT false,
    -- {face_count, avg_quality, manual_edits}
    metadata jsonb NOT NULL DEFAULT '{}',
    -- Counts the decisions on the person: two people who edit it at once find out.
    version bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT face_persons_id_event_key UNIQUE (id, event_id),
    CONSTRAINT face_persons_merged_into_fkey FOREIGN KEY (merged_into_id, event_id)
        REFERENCES face_persons (id, event_id) ON DELETE CASCADE,
    CONSTRAINT face_persons_merged_names_its_survivor CHECK (
        (status = 'merged') = (merged_into_id IS NOT NULL) AND merged_into_id <> id
    ),
    CONSTRAINT face_persons_only_linked_has_a_user CHECK (linked_user_id IS NULL OR status IN ('linked', 'merged')),
    CONSTRAINT face_persons_only_invited_has_an_address CHECK (invitation_email IS NULL OR status = 'invited')
);
CREATE INDEX face_persons_event_idx ON face_persons (event_id, status);
CREATE INDEX face_persons_user_idx ON face_persons (linked_user_id) WHERE linked_user_id IS NOT NULL;
CREATE INDEX face_persons_merged_into_idx ON face_persons (merged_into_id) WHERE merged_into_id IS NOT NULL;

CREATE FUNCTION trombi_user_hash(person_id uuid, user_id uuid) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = trombi, pg_temp RETURN sha256(uuid_send(person_id) || uuid_send(user_id));

-- Whoever writes a person: the address is kept in its one form (an undo may put an older spelling back).
CREATE FUNCTION trombi_normalise_person() RETURNS trigger
    LANGUAGE plpgsql SET search_path = trombi, pg_temp AS $$
BEGIN
    NEW.invitation_email := trombi_address(NEW.invitation_email);
    IF NEW.status = 'linked' THEN
        NEW.former_user_hash := NULL;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER trombi_normalise BEFORE INSERT OR UPDATE OF invitation_email, status ON face_persons
    FOR EACH ROW EXECUTE FUNCTION trombi_normalise_person();

-- One detected face. There is no index on the embedding: searches stay within an event, whose faces are compared one by
-- one, exactly (docs/decisions/0003; make vector-index for searches of the whole table).
CREATE TABLE faces (
    id uuid PRIMARY KEY,
    media_id uuid NOT NULL,
    event_id uuid NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    -- Generation of the object in which the face was found.
    object_generation bigint NOT NULL,
    face_person_id uuid,
    -- A human said so: no run moves this face.
    placed_by_human boolean NOT NULL DEFAULT false,
    -- {x, y, w, h} within the upright photo, normalised to [0, 1].
    bbox jsonb NOT NULL CHECK (is_normalised_box(bbox)),
    -- Null once erased (archive, retention); shorter embeddings are zero-padded, which leaves cosines alone.
    embedding vector(512),
    embedding_model text NOT NULL,
    quality_score real NOT NULL CHECK (quality_score BETWEEN 0 AND 1),
    landmarks jsonb,
    sharpness real,
    -- Degrees.
    yaw real,
    pitch real,
    roll real,
    size_px integer NOT NULL CHECK (size_px > 0),
    thumbnail_object text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT faces_id_event_key UNIQUE (id, event_id),
    CONSTRAINT faces_media_fkey FOREIGN KEY (media_id, event_id) REFERENCES media (id, event_id) ON DELETE CASCADE,
    CONSTRAINT faces_person_fkey FOREIGN KEY (face_person_id, event_id) REFERENCES face_persons (id, event_id)
        ON DELETE SET NULL (face_person_id),
    -- Embeddings of different models are never compared: an event holds those of one model only. An event whose
    -- embeddings are erased may change its model pack; faces without an embedding follow its name.
    CONSTRAINT faces_one_model_per_event FOREIGN KEY (event_id, embedding_model)
        REFERENCES event_counters (event_id, embedding_model) ON UPDATE CASCADE
);
-- In the row, not beside it (TOAST): reading an event's embeddings takes a third of the time.
ALTER TABLE faces ALTER COLUMN embedding SET STORAGE PLAIN;
CREATE INDEX faces_media_idx ON faces (media_id);
CREATE INDEX faces_event_idx ON faces (event_id);
-- A person's faces and photos are counted in the index alone.
CREATE INDEX faces_person_idx ON faces (face_person_id, event_id, media_id) WHERE face_person_id IS NOT NULL;
CREATE INDEX faces_thumbnail_idx ON faces (thumbnail_object) WHERE thumbnail_object IS NOT NULL;
-- What the retention looks for at each tick.
CREATE INDEX faces_retention_idx ON faces (created_at)
    WHERE embedding IS NOT NULL OR landmarks IS NOT NULL OR thumbnail_object IS NOT NULL;
ALTER TABLE face_persons ADD CONSTRAINT face_persons_representative_fkey
    FOREIGN KEY (representative_face_id, event_id) REFERENCES faces (id, event_id)
    ON DELETE SET NULL (representative_face_id);

-- ---------------------------------------------------------------- the best face of a person

-- How well a face stands for its person, in [0, 1]: quality * frontality * sharpness * size. A product, so that a face
-- that fails in one respect is not saved by the others.
-- Quality is the detector's confidence. Frontality is cos(yaw) * cos(pitch), 0 from a right angle on; roll is undone by
-- alignment. Sharpness is s / (s + 100), which saturates: 100 is the variance of the Laplacian (of detect, on the
-- aligned crop) at which a face counts as half sharp; of 23 faces in group photos the median is 346, one is below 100
-- (27, plainly blurred), the sharpest is at 1001. Size is the shorter side of the box over 112, at most 1: a face needs
-- no more pixels than the embedding model's input has (ArcFace: 112 x 112). A measure that was not taken counts as 0.5:
-- such a face neither wins nor loses by it.
CREATE FUNCTION trombi_cover_score(quality real, sharpness real, yaw real, pitch real, size_px integer)
    RETURNS float8
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN quality::float8
        * CASE WHEN yaw IS NULL THEN 0.5 WHEN abs(yaw) < 90 THEN cos(radians(yaw::float8)) ELSE 0 END
        * CASE WHEN pitch IS NULL THEN 0.5 WHEN abs(pitch) < 90 THEN cos(radians(pitch::float8)) ELSE 0 END
        * CASE WHEN sharpness IS NULL THEN 0.5 ELSE sharpness::float8 / (sharpness::float8 + 100) END
        * least(1, size_px / 112.0::float8);

-- A person's faces from the best to the worst: the cover, then the others by their score, the smallest id among equals.
-- A face whose picture was erased has nothing to show and comes last.
CREATE FUNCTION trombi_best_faces(of_person uuid) RETURNS TABLE (face_id uuid, thumbnail_object text)
    LANGUAGE sql STABLE SET search_path = trombi, pg_temp AS $$
    SELECT faces.id, faces.thumbnail_object
    FROM faces JOIN face_persons AS person ON person.id = faces.face_person_id AND person.event_id = faces.event_id
    WHERE person.id = of_person
    ORDER BY faces.thumbnail_object IS NULL, (faces.id = person.representative_face_id) IS TRUE DESC,
        trombi_cover_score(quality_score, sharpness, yaw, pitch, size_px) DESC, faces.id
$$;

-- The face that stands for a person; null for a person without faces.
CREATE FUNCTION trombi_best_cover(of_person uuid) RETURNS uuid
    LANGUAGE sql STABLE SET search_path = trombi, pg_temp AS $$
    SELECT face_id FROM trombi_best_faces(of_person) LIMIT 1
$$;

-- ---------------------------------------------------------------- a person as shown

-- What lists, a person's page, mails and the invitation page say of a person. Counts are counted, not read from the
-- person's metadata, which is what the last run or decision wrote. With the rights of who asks: row level security
-- decides whom they see.
CREATE VIEW persons_shown WITH (security_invoker = true) AS
SELECT person.id, person.event_id, person.status, person.version, person.representative_face_id AS cover_face_id,
    person.merged_into_id, person.created_at, person.invitation_email, person.linked_user_id,
    users.display_name AS linked_name, counted.face_count, counted.photo_count
FROM face_persons AS person
LEFT JOIN users ON users.id = person.linked_user_id
CROSS JOIN LATERAL (
    SELECT count(*) AS face_count, count(DISTINCT media_id) AS photo_count
    FROM faces WHERE faces.face_person_id = person.id AND faces.event_id = person.event_id
) AS counted;

-- ---------------------------------------------------------------- a cover that is gone

-- Whichever way a face goes (photo deleted, purge, a host that deletes rows), the person that it stood for has another
-- cover at once, though no clustering follows. The foreign key has set it null by then.
CREATE FUNCTION trombi_replace_covers() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = trombi, pg_temp AS $$
BEGIN
    WITH bereft AS (
        SELECT id FROM face_persons
        WHERE id IN (SELECT face_person_id FROM gone) AND representative_face_id IS NULL AND status <> 'merged'
        ORDER BY id FOR UPDATE
    ), covers AS MATERIALIZED (
        SELECT id, trombi_best_cover(id) AS face_id FROM bereft
    )
    UPDATE face_persons SET representative_face_id = covers.face_id, cover_chosen_by_human = false, updated_at = now()
    FROM covers WHERE face_persons.id = covers.id AND (covers.face_id IS NOT NULL OR cover_chosen_by_human);
    RETURN NULL;
END
$$;
CREATE TRIGGER trombi_replace_covers AFTER DELETE ON faces
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION trombi_replace_covers();

-- ---------------------------------------------------------------- tags

-- Who is in a photo, because a human said so.
CREATE TABLE media_tags (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    media_id uuid NOT NULL REFERENCES media (id) ON DELETE CASCADE,
    tagged_user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    tagged_by_user_id uuid REFERENCES users (id) ON DELETE SET NULL,
    source text NOT NULL CHECK (source IN ('manual', 'face_clustering', 'imported', 'suggested')),
    bbox jsonb CHECK (bbox IS NULL OR is_normalised_box(bbox)),
    face_id uuid REFERENCES faces (id) ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (media_id, tagged_user_id)
);
CREATE INDEX media_tags_user_idx ON media_tags (tagged_user_id);
CREATE INDEX media_tags_face_idx ON media_tags (face_id) WHERE face_id IS NOT NULL;

-- ---------------------------------------------------------------- questions for a human

-- "Is this face that person?" Never a tag.
CREATE TABLE face_suggestions (
    face_id uuid NOT NULL REFERENCES faces (id) ON DELETE CASCADE,
    face_person_id uuid NOT NULL REFERENCES face_persons (id) ON DELETE CASCADE,
    score real NOT NULL CHECK (score BETWEEN -1 AND 1),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (face_id, face_person_id)
);
CREATE INDEX face_suggestions_person_idx ON face_suggestions (face_person_id);

-- "Are these two one person?" An ordered pair, so that it is asked once.
CREATE TABLE merge_suggestions (
    person_a_id uuid NOT NULL REFERENCES face_persons (id) ON DELETE CASCADE,
    person_b_id uuid NOT NULL REFERENCES face_persons (id) ON DELETE CASCADE,
    score real NOT NULL CHECK (score BETWEEN -1 AND 1),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (person_a_id, person_b_id),
    CHECK (person_a_id < person_b_id)
);
CREATE INDEX merge_suggestions_b_idx ON merge_suggestions (person_b_id);

-- "Are these faces of the person somebody else?" The smaller half.
CREATE TABLE split_suggestions (
    face_person_id uuid NOT NULL REFERENCES face_persons (id) ON DELETE CASCADE,
    face_id uuid NOT NULL REFERENCES faces (id) ON DELETE CASCADE,
    -- 1 - the mean cosine between the halves, or between two faces that stand side by side; the same for all rows of a
    -- person.
    score real NOT NULL CHECK (score BETWEEN -1 AND 1),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (face_person_id, face_id)
);
CREATE INDEX split_suggestions_face_idx ON split_suggestions (face_id);

-- migrate:down
