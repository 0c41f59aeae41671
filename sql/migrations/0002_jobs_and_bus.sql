-- migrate:up
-- The work on photos and events, and the messages that ask for it.
SELECT set_config('search_path', trombi.trombi_search_path(), true);

CREATE TABLE ml_jobs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_type text NOT NULL CHECK (job_type IN ('detect', 'cluster')),
    -- Null when the message named no event that exists; the claimed ids are then in result.
    event_id uuid REFERENCES events (id) ON DELETE CASCADE,
    media_ids uuid[] NOT NULL DEFAULT '{}',
    -- Generation of the object that a detect job reads; 0 until it is known.
    object_generation bigint NOT NULL DEFAULT 0,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'processing', 'completed', 'failed')),
    priority text NOT NULL DEFAULT 'normal' CHECK (priority IN ('high', 'normal', 'low')),
    -- Counts how often the job was asked for; a message of an older run is stale.
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
    -- When callback first recorded the outcome of this run.
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
CREATE INDEX ml_jobs_unplaced_idx ON ml_jobs (completed_at) WHERE event_id IS NULL;

-- One row per event, and the lock of whoever writes its persons, faces, tags or decisions: what the debounce needs to
-- know, and which model's embeddings the event holds.
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
-- Events that were clustered within the last day: the sweep looks for those whose end was not announced yet.
CREATE INDEX event_counters_requested_idx ON event_counters (last_requested_at);

-- What a clustering run did.
CREATE TABLE cluster_runs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_id uuid NOT NULL REFERENCES ml_jobs (id) ON DELETE CASCADE,
    run integer NOT NULL,
    event_id uuid NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    faces integer NOT NULL CHECK (faces >= 0),
    clusters integer NOT NULL CHECK (clusters >= 0),
    persons integer NOT NULL CHECK (persons >= 0),
    noise integer NOT NULL CHECK (noise BETWEEN 0 AND faces),
    noise_ratio real GENERATED ALWAYS AS (CASE WHEN faces = 0 THEN 0 ELSE noise::real / faces END) STORED,
    -- Null where it is not defined (fewer than two clusters).
    silhouette real CHECK (silhouette BETWEEN -1 AND 1),
    -- Faces that had a person before this run and have another, or none, after it.
    churn integer NOT NULL CHECK (churn >= 0),
    suggestions integer NOT NULL CHECK (suggestions >= 0),
    milliseconds jsonb NOT NULL,
    parameters jsonb NOT NULL,
    embedding_model text,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- When the event's creator was written to about this run: once, however often the notification is delivered.
    told_at timestamptz,
    UNIQUE (job_id, run)
);
CREATE INDEX cluster_runs_event_idx ON cluster_runs (event_id, created_at DESC);

-- What is to happen outside the database once the transaction that wrote the row has committed.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('publish', 'delete_objects')),
    topic text,
    data jsonb,
    attributes jsonb NOT NULL DEFAULT '{}',
    -- A deletion without a bucket is one in the derived bucket of this deployment: a trigger, which knows no bucket, can
    -- ask for it.
    bucket text,
    object_prefix text,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- The deletion of a thumbnail is written before the thumbnail is uploaded, and taken back when a face refers to it:
    -- a thumbnail whose face was never written (a crash) does not stay. Until then it is not due.
    due_at timestamptz NOT NULL DEFAULT now(),
    attempts integer NOT NULL DEFAULT 0,
    last_error text,
    -- The receipt (purge_receipts) that a deletion belongs to: it is complete once the last of them is done.
    receipt_id uuid,
    CONSTRAINT outbox_publish_is_whole CHECK (kind <> 'publish' OR (topic IS NOT NULL AND data IS NOT NULL)),
    -- An empty prefix would empty the bucket.
    CONSTRAINT outbox_delete_is_whole CHECK (
        kind <> 'delete_objects' OR (object_prefix <> '' AND object_prefix IS NOT NULL AND bucket IS DISTINCT FROM '')
    )
);
CREATE INDEX outbox_deletions_idx ON outbox (bucket, object_prefix) WHERE kind = 'delete_objects';
CREATE INDEX outbox_prefix_idx ON outbox (object_prefix) WHERE kind = 'delete_objects';
CREATE INDEX outbox_receipt_idx ON outbox (receipt_id) WHERE receipt_id IS NOT NULL;

-- Messages that the bus gave up on, kept whole for replay.
CREATE TABLE dead_letters (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    message_id text NOT NULL,
    data bytea NOT NULL,
    attributes jsonb NOT NULL,
    delivery_attempts integer,
    error text NOT NULL,
    job_id uuid REFERENCES ml_jobs (id) ON DELETE SET NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    replayed_at timestamptz
);
-- With the content, since an emulator that was restarted counts its message ids from 1 again.
CREATE UNIQUE INDEX dead_letters_once ON dead_letters (topic, message_id, md5(data));
CREATE INDEX dead_letters_job_idx ON dead_letters (job_id) WHERE job_id IS NOT NULL;

-- migrate:down
