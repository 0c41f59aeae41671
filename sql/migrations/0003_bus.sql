-- migrate:up
-- What is to happen outside the database once the transaction that wrote the row has committed.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('publish', 'delete_objects')),
    topic text,
    data jsonb,
    attributes jsonb NOT NULL DEFAULT '{}',
    bucket text,
    object_prefix text,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- A thumbnail's erasure is written down before the thumbnail is uploaded and taken back when a face refers to it:
    -- so that one whose face was never written (a crash) does not stay. Until then it is not due.
    due_at timestamptz NOT NULL DEFAULT now(),
    attempts integer NOT NULL DEFAULT 0,
    last_error text,
    CONSTRAINT outbox_publish_is_whole CHECK (kind <> 'publish' OR (topic IS NOT NULL AND data IS NOT NULL)),
    -- An empty prefix would empty the bucket.
    CONSTRAINT outbox_delete_is_whole CHECK (kind <> 'delete_objects' OR (bucket <> '' AND object_prefix <> ''))
);

CREATE INDEX outbox_deletions_idx ON outbox (bucket, object_prefix) WHERE kind = 'delete_objects';

-- Messages the bus gave up on, kept whole for replay.
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
