-- migrate:up
-- A box or nothing: {x, y, w, h} within the upright image, normalised to [0, 1].
CREATE FUNCTION is_normalised_box(box jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
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

CREATE TABLE ml_jobs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_type text NOT NULL CHECK (job_type IN ('detect', 'cluster')),
    -- Null when the message named no event that exists; the claimed ids are then in result.
    event_id uuid REFERENCES events (id) ON DELETE CASCADE,
    media_ids uuid[] NOT NULL DEFAULT '{}',
    -- Generation of the object a detect job reads; 0 until it is known.
    object_generation bigint NOT NULL DEFAULT 0,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'processing', 'completed', 'failed')),
    priority text NOT NULL DEFAULT 'normal' CHECK (priority IN ('high', 'normal', 'low')),
    -- Counts the times the job was asked for anew; a message of an older run is stale.
    run integer NOT NULL DEFAULT 1 CHECK (run >= 1),
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    error_code text,
    error text,
    result jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- When its message was last given to the bus; null for a job that waits to be released.
    released_at timestamptz,
    started_at timestamptz,
    completed_at timestamptz,
    -- When callback first took note of the outcome of this run.
    reported_at timestamptz,
    CONSTRAINT ml_jobs_end_has_a_time CHECK ((status IN ('completed', 'failed')) = (completed_at IS NOT NULL)),
    CONSTRAINT ml_jobs_failure_has_a_reason CHECK (status <> 'failed' OR (error_code IS NOT NULL AND error IS NOT NULL)),
    CONSTRAINT ml_jobs_detect_has_one_photo CHECK (job_type <> 'detect' OR event_id IS NULL OR cardinality(media_ids) = 1)
);
CREATE UNIQUE INDEX ml_jobs_one_per_object_generation ON ml_jobs ((media_ids[1]), object_generation)
    WHERE job_type = 'detect' AND event_id IS NOT NULL;
CREATE UNIQUE INDEX ml_jobs_one_clustering_at_a_time ON ml_jobs (event_id)
    WHERE job_type = 'cluster' AND status IN ('pending', 'processing');
CREATE INDEX ml_jobs_event_idx ON ml_jobs (event_id, job_type, status);
-- What the sweep looks for: stuck and unreleased jobs, oldest first.
CREATE INDEX ml_jobs_open_idx ON ml_jobs (status, priority, created_at) WHERE status IN ('pending', 'processing');
CREATE INDEX ml_jobs_media_idx ON ml_jobs USING gin (media_ids);

-- One row per event: what the debounce needs to know, and which model's embeddings the event holds.
CREATE TABLE event_counters (
    event_id uuid PRIMARY KEY REFERENCES events (id) ON DELETE CASCADE,
    embedding_model text,
    -- Photos whose faces changed since clustering was last asked for, and when the first of them did.
    changed_photos integer NOT NULL DEFAULT 0 CHECK (changed_photos >= 0),
    first_change_at timestamptz,
    last_requested_at timestamptz,
    -- Grows with every human decision: a clustering run that computed on older ones plans again.
    decision_version bigint NOT NULL DEFAULT 0,
    CONSTRAINT event_counters_model_key UNIQUE (event_id, embedding_model),
    CONSTRAINT event_counters_change_has_a_time CHECK ((changed_photos > 0) = (first_change_at IS NOT NULL))
);
CREATE INDEX event_counters_changed_idx ON event_counters (first_change_at) WHERE changed_photos > 0;

CREATE TABLE face_persons (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    event_id uuid NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    cluster_label integer,
    representative_face_id uuid,
    linked_user_id uuid REFERENCES users (id) ON DELETE SET NULL,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'linked', 'invited', 'ignored', 'merged')),
    invitation_email text,
    merged_into_id uuid,
    -- {face_count, avg_quality, manual_edits}
    metadata jsonb NOT NULL DEFAULT '{}',
    cover_chosen_by_human boolean NOT NULL DEFAULT false,
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

CREATE TABLE faces (
    id uuid PRIMARY KEY,
    media_id uuid NOT NULL,
    event_id uuid NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    -- Generation of the object in which the face was found.
    object_generation bigint NOT NULL,
    face_person_id uuid,
    -- A human said so: no run moves this face.
    placed_by_human boolean NOT NULL DEFAULT false,
    bbox jsonb NOT NULL CHECK (is_normalised_box(bbox)),
    -- Null once erased (archive, retention); shorter embeddings are zero-padded, which leaves cosines alone.
    embedding vector(512),
    embedding_model text NOT NULL,
    quality_score real NOT NULL CHECK (quality_score BETWEEN 0 AND 1),
    landmarks jsonb,
    sharpness real,
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
    -- Embeddings of different models are never compared, so an event holds those of one model only.
    CONSTRAINT faces_one_model_per_event FOREIGN KEY (event_id, embedding_model)
        REFERENCES event_counters (event_id, embedding_model)
);
CREATE INDEX faces_media_idx ON faces (media_id);
CREATE INDEX faces_event_idx ON faces (event_id);
CREATE INDEX faces_person_idx ON faces (face_person_id) WHERE face_person_id IS NOT NULL;
CREATE INDEX faces_thumbnail_idx ON faces (thumbnail_object) WHERE thumbnail_object IS NOT NULL;
CREATE INDEX faces_embedding_hnsw ON faces USING hnsw (embedding vector_cosine_ops);
ALTER TABLE face_persons ADD CONSTRAINT face_persons_representative_fkey
    FOREIGN KEY (representative_face_id, event_id) REFERENCES faces (id, event_id)
    ON DELETE SET NULL (representative_face_id);

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

-- Where a purged face was: a later detection does not bring it back. Holds no biometric.
CREATE TABLE face_tombstones (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    media_id uuid NOT NULL,
    event_id uuid NOT NULL,
    bbox jsonb NOT NULL CHECK (is_normalised_box(bbox)),
    created_at timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (media_id, event_id) REFERENCES media (id, event_id) ON DELETE CASCADE
);
CREATE INDEX face_tombstones_media_idx ON face_tombstones (media_id);

-- migrate:down
